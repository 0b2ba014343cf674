"""Reverse paths carry the process that the diffusion defines."""

import pytest
import torch

from theory.diffusion.schedules import VPLinear
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.reverse_paths import mixture_on_sphere, reverse_paths, two_components

WEIGHTS = (0.5, 0.3, 0.2)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_means_lie_on_the_sphere():
    data = mixture_on_sphere(5, WEIGHTS, 3.0, 0.5, generator())
    assert data.means.norm(dim=1).tolist() == pytest.approx([1.5] * 3)
    assert torch.exp(data.log_weights).tolist() == pytest.approx(list(WEIGHTS))
    assert (data.variances == 0.5).all()
    assert not torch.equal(data.means, mixture_on_sphere(5, WEIGHTS, 3.0, 0.5, generator(1)).means)


def test_everything_is_that_of_the_points():
    diffusion = Diffusion(mixture_on_sphere(2, WEIGHTS, 3.0, 0.5, generator()), VPLinear())
    times = torch.tensor([0.8, 0.5, 0.3], dtype=torch.float64)
    start = torch.ones(4, 2, dtype=torch.float64)
    paths = reverse_paths(diffusion, start, times, generator())
    assert torch.equal(paths.x[0], start)
    assert torch.equal(paths.log_snr, diffusion.schedule.log_snr(times))
    for i, t in enumerate(times.tolist()):
        law = diffusion.marginal(t)
        torch.testing.assert_close(paths.martingale[i], diffusion.martingale(paths.x[i], t))
        torch.testing.assert_close(paths.components[i], law.responsibilities(paths.x[i]))
    expected = list(diffusion.reverse_path(start, times.tolist(), generator()))
    assert torch.equal(paths.x, torch.stack(expected))


def test_two_components_are_a_diameter_apart():
    means = two_components(5, 3.0, 0.1).data.means
    assert torch.allclose((means[0] - means[1]).norm(), torch.tensor(3.0).double())
