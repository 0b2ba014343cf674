"""Re-trained biases: nothing else changes, and the loss falls."""

from dataclasses import replace

import pytest
import torch

from real.calibrated.conditions import ConditionedImages
from real.checkpoints.reloading import damaged
from real.compress import Damage
from real.compress.quantize import denoisers
from real.experiments.bias_training import RATE, with_trained_biases
from real.images.digits import digits
from tests.real.exact import FAMILIES, exact_checkpoint


def test_training_changes_biases_alone_and_lowers_the_loss(digits_checkpoint):
    network = damaged(digits_checkpoint, Damage("int8"))
    for _, module in denoisers(network):
        module.conv_out.bias.data += 0.5
    before = {n: t.clone() for n, t in network.modules["unet"].state_dict().items()}
    times = digits_checkpoint.schedule.grid(4)
    x_t, t = torch.zeros(4, 1, 8, 8), torch.full((4,), 500)

    def off():
        with torch.no_grad():
            return (network.predict(x_t, t) - digits_checkpoint.predict(x_t, t)).abs().mean()

    worst = off()
    trained = with_trained_biases(
        network, ConditionedImages(digits("calibration")), times, evaluations=3 * 32 * 25, seed=0
    )
    after = trained.modules["unet"].state_dict()
    assert all(n.endswith("bias") != torch.equal(t, before[n]) for n, t in after.items())
    assert off() < 0.9 * worst
    assert trained.fingerprint != network.fingerprint
    assert not any(p.requires_grad for p in trained.modules["unet"].parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_steps_are_adams_on_the_loss_of_images_times_and_noise_of_the_seed(family):
    """Of y = 0.5 x_t + bias, whose gradient is 2 mean(y - (A x_0 + B e)); the rest of a step buys nothing."""
    network = torch.nn.utils.skip_init(torch.nn.Conv2d, 1, 1, 1, dtype=torch.float64)
    network.weight.data.fill_(0.5)
    network.bias.data.fill_(0.25)
    exact = exact_checkpoint(family)
    checkpoint = replace(
        exact, predict=lambda x_t, t, condition=None: network(x_t), shape=(1, 2, 2),
        modules={"unet": network},
    )  # fmt: skip
    images = torch.randn(7, 1, 2, 2, generator=torch.Generator().manual_seed(1)).double()
    times = checkpoint.schedule.grid(4)
    with_trained_biases(
        checkpoint, ConditionedImages(images), times, evaluations=4 * 96 - 1, seed=5
    )
    expected = torch.tensor([0.25], dtype=torch.float64)
    adam, generator = torch.optim.Adam([expected], lr=RATE), torch.Generator().manual_seed(5)
    alpha, sigma = checkpoint.schedule.alpha(times), checkpoint.schedule.sigma(times)
    a, b = checkpoint.target.coefficients(checkpoint.schedule, times)
    for _ in range(3):
        k = torch.randint(4, (32,), generator=generator)
        x_0 = images[torch.randint(7, (32,), generator=generator)]
        e = torch.randn(x_0.shape, generator=generator).double()
        of_image, of_noise, a_k, b_k = (c[k, None, None, None] for c in (alpha, sigma, a, b))
        y = 0.5 * (of_image * x_0 + of_noise * e) + expected
        expected.grad = 2 * (y - a_k * x_0 - b_k * e).mean().reshape(1)
        adam.step()
    torch.testing.assert_close(network.bias.detach(), expected)
