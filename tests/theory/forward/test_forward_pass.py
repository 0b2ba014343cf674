"""The forward pass over noised images."""

import torch

from theory.diffusion.schedules import VPLinear
from theory.diffusion.targets import NOISE
from theory.forward.forward_pass import observe
from theory.forward.images import ImageSet
from theory.forward.keyed_noise import Draws
from theory.forward.network import Network


def test_no_gradients_are_recorded_of_a_network_that_is_still_in_training():
    weight = torch.ones((), requires_grad=True)
    network = Network(lambda x_t, t: weight * x_t, VPLinear(), NOISE)
    images = ImageSet(torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3))
    (seen,) = observe(network, images, torch.tensor([0.5]), Draws(0, "test"))
    assert not seen.prediction.requires_grad
