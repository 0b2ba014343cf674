"""Schedules, the energy along them and the steps of chains, against sums and loops of their own."""

import itertools
import math

import pytest
import torch

from theory.diffusion.schedules import VPCosine, VPLinear
from toy.figures.common import mixture_on_line
from toy.figures.dynamics import compute_drift, compute_energy, compute_euler, compute_schedules
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64

KINDS = {"vp-linear", "vp-cosine", "rectified-flow"}


def test_curves_of_a_schedule_are_what_their_names_say():
    found = compute_schedules(5).curves
    assert set(found) == {"vp-linear", "vp-cosine", "ve", "edm", "rectified-flow", "discrete"}
    for curve in found.values():
        assert curve["share"].tolist() == [0, 0.25, 0.5, 0.75, 1]
        assert (curve["log_snr"].diff() < 0).all()
        ratio = 2 * torch.log(curve["alpha"] / curve["sigma"])
        assert torch.allclose(curve["log_snr"], ratio, atol=1e-6)
    for kind in (VPLinear(), VPCosine()):
        times = torch.linspace(kind.t_min, kind.t_max, 5).double()
        assert torch.allclose(found[kind.name]["alpha"], kind.alpha(times))
    betas = torch.linspace(1e-4, 0.02, 1000).double()
    assert found["discrete"]["alpha"][-1].item() == pytest.approx((1 - betas).prod().sqrt().item())


def test_the_loss_of_energy_is_its_difference_quotient_and_the_energy_that_of_a_sum():
    found = compute_energy(9).curves
    assert set(found) == {"vp-linear", "vp-cosine", "rectified-flow", "ve"}
    for curve in found.values():
        assert torch.equal(curve["at"], curve["times"][::4])
        assert torch.allclose(curve["loss"][::4], curve["quotient"], rtol=1e-4)
    law, curve = mixture_on_line(), found["vp-linear"]
    x = torch.linspace(-9, 9, 20_001).double()[:, None]
    for t, energy in zip(curve["times"].tolist(), curve["energy"].tolist(), strict=True):
        density = law.marginal(t).log_density(x).exp()
        summed = torch.trapezoid(density * law.martingale(x, t)[:, 0] ** 2, x[:, 0])
        assert energy == pytest.approx(summed.item(), rel=1e-6)


def moments_of_steps(kind, steps):
    """Mean and variance of Euler and Maruyama's steps of N(1, 1/4) from t = 0.8 to s = 0.1.

    They start one deviation above the mean.
    """
    times = torch.linspace(0.8, 0.1, steps + 1, dtype=torch.float64)

    def law(t):
        alpha, sigma = kind.alpha(t).item(), kind.sigma(t).item()
        return alpha, alpha**2 / 4 + sigma**2

    alpha, c = law(times[0])
    mean, variance = alpha + math.sqrt(c), 0.0
    for t, s in itertools.pairwise(times):
        (alpha, c), h = law(t), (t - s).item()
        f, g_sq = kind.drift(t).item(), kind.diffusion_sq(t).item()
        mean -= h * (f * mean + g_sq * (mean - alpha) / c)
        variance = variance * (1 - h * (f + g_sq / c)) ** 2 + h * g_sq
    return mean, variance


def exact_moments(kind):
    """Those of the kernel that the steps approximate."""
    law = Diffusion(
        GaussianMixture.diagonal(torch.ones(1), torch.ones(1, 1), torch.full((1,), 0.25)), kind
    )
    marginal = law.marginal(0.8)
    kernel = law.reverse_kernel(marginal.means[0] + marginal.variances[0].sqrt(), 0.1, 0.8)
    return kernel.means.item(), kernel.variances.item()


def test_errors_of_a_chain_are_those_of_its_steps_one_by_one():
    found, kind = compute_euler(), VPLinear()
    assert set(found.mean) == set(found.variance) == set(found.strong) == KINDS
    fine = exact_moments(kind)
    for k, n in enumerate(found.steps.tolist()[:4]):
        mean, variance = moments_of_steps(kind, n)
        assert found.mean[kind.name][k].item() == pytest.approx(abs(mean - fine[0]), rel=1e-9)
        of_variance = found.variance[kind.name][k].item()
        assert of_variance == pytest.approx(abs(variance - fine[1]), rel=1e-9)
        apart = math.hypot(mean - fine[0], math.sqrt(variance) - math.sqrt(fine[1]))
        assert found.strong[kind.name][k] >= apart
    for errors in (found.mean, found.variance, found.strong):
        for error in errors.values():
            assert torch.log2(error[-2] / error[-1]).item() == pytest.approx(1, abs=0.1)


def orders(drift):
    """How fast the last of some errors fall, whose steps halve."""
    return torch.log2(drift[-2] / drift[-1]).item()


def test_the_drift_falls_with_the_steps_to_its_closed_form_and_a_perturbed_one_slowly():
    found = compute_drift()
    assert set(found.gaussian) == set(found.closed_form) == set(found.mixture) == KINDS
    for name, drift in found.gaussian.items():
        closed = found.closed_form[name]
        assert drift[-1].item() == pytest.approx(closed[-1].item(), rel=0.02)
        assert torch.allclose(
            closed * found.steps, closed[0] * found.steps[0] * torch.ones(8).double()
        )
    for drift in (*found.gaussian.values(), *found.mixture.values()):
        assert orders(drift) == pytest.approx(1, abs=0.1)
    for drift in (found.perturbed, found.mixture_perturbed):
        assert orders(drift) == pytest.approx(0.5, abs=0.15)
    assert len(found.mixture_steps) == len(found.mixture_perturbed) == 6


def test_the_first_drift_of_a_mixture_is_that_of_one_step():
    """In deviations of M_s under the exact kernel; a step is one Gaussian, over which M_s is summed."""
    found, kind, (s, t) = compute_drift(), VPLinear(), (0.45, 0.5)
    data = GaussianMixture.diagonal(
        float64([0.6, 0.4]), float64([[-1.0], [0.8]]), float64([0.36, 0.64])
    )
    law = Diffusion(data, kind)
    marginal = law.marginal(t)
    x_t = marginal.means[0] + marginal.variances[0].sqrt()
    f, g_sq = kind.drift(float64(t)), kind.diffusion_sq(float64(t))
    mean, h = x_t - (t - s) * (f * x_t - g_sq * law.score(x_t, t)), t - s
    x = torch.linspace(-6, 6, 20_001).double()[:, None]
    m_s, m_t = law.martingale(x, s)[:, 0], law.martingale(x_t, t)
    step = GaussianMixture.diagonal(torch.ones(1), mean[None], (h * g_sq).reshape(1))

    def summed(density, values):
        return torch.trapezoid(density.log_density(x).exp() * values, x[:, 0])

    variance = summed(law.reverse_kernel(x_t, s, t), (m_s - m_t) ** 2)
    off = (summed(step, m_s) - m_t).abs() / variance.sqrt()
    assert found.mixture_steps[0] == 1
    assert found.mixture[kind.name][0].item() == pytest.approx(off.item(), rel=1e-6)
