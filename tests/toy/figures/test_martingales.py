"""Martingales of the figures, from the places where they start, against closed forms and other laws."""

import math

import pytest
import torch

from tests.draws import normal
from theory.bounds.gaussian_tails import clock_between, translation_tail
from theory.diffusion.schedules import VPLinear
from toy.figures import martingales
from toy.figures.common import Frequencies, mixture_on_line
from toy.figures.martingales import (
    compute_posterior,
    compute_score_paths,
    compute_tower,
    compute_translation,
)
from toy.mixtures.mixture import float64


def keeps(bundle, start):
    """Whether the mean stays within five standard errors of a value, and the paths leave it."""
    off = (bundle.mean - start).abs()
    return bool((off <= 5 * bundle.error + 1e-12).all()) and bundle.shown.std() > 0


def test_the_scaled_score_keeps_its_value_and_the_other_curve_is_it_without_alpha():
    found, law = compute_score_paths(0, 400, 12), mixture_on_line()
    times = found.paths.times
    assert (times[0].item(), times[-1].item()) == pytest.approx((0.4, 0.02))
    assert found.start == law.martingale(float64([1.6]), 0.4).item()
    assert keeps(found.paths, found.start)
    alphas = VPLinear().alpha(times)
    assert torch.allclose(found.without_alpha * alphas / alphas[0], found.paths.mean)


def test_posteriors_keep_their_values_and_the_rescaled_point_has_the_kernels_mean():
    found, law, x = compute_posterior(0, 400, 8), mixture_on_line(), float64([0.0])
    starts = law.posterior_mean(x, 0.5).item(), law.component_probabilities(x, 0.5)[0].item()
    assert found.starts == starts
    assert keeps(found.mean, starts[0])
    assert keeps(found.probability, starts[1])
    for s, mean in list(zip(found.mean.times.tolist(), found.rescaled.tolist(), strict=True))[1:]:
        kernel, (alpha, _) = law.reverse_kernel(x, s, 0.5), law.scales(s)
        error = kernel.sample(torch.Generator().manual_seed(1), 400).std().item() / alpha / 20
        assert mean == pytest.approx(kernel.mean().item() / alpha, abs=5 * error)


def test_every_order_of_the_tower_needs_its_own_power_of_alpha():
    """With one power less M_s is alpha_t/alpha_s times what it should be in the mean."""
    found = compute_tower(0.6, 4)
    assert found.residuals.shape == found.power_less.shape == (3, 4)
    assert (found.times < found.t).all()
    assert found.residuals.max() < 1e-10
    alpha = VPLinear().alpha
    off = alpha(found.times) / alpha(float64([found.t])) - 1
    assert (found.power_less <= off + 1e-10).all()
    assert (found.power_less > 1e-3).all()


def test_a_translation_has_mean_one_and_its_supremum_the_tails_of_the_closed_form():
    found = compute_translation(0, 1000, 40)
    assert keeps(found.paths, 1.0)
    assert torch.allclose(found.bound * found.levels, torch.ones(12).double())
    variance = clock_between(VPLinear(), 1.0, 0.02, 1.0)
    tails = [translation_tail(b, found.h, variance) for b in found.levels.tolist()]
    assert found.closed_form.tolist() == tails
    for seen, most in ((found.gaussian, found.closed_form), (found.mixture, found.bound)):
        assert torch.equal(seen.eps, found.levels)
        assert (seen.lower <= most).all()
    assert (found.gaussian.upper >= 0.6 * found.closed_form).all()


def test_a_supremum_is_of_the_growth_since_the_start_of_a_path(monkeypatch):
    logs = {law: normal(k, 5, 30) for k, law in enumerate((1, 2))}
    monkeypatch.setattr(
        martingales, "_log_translations",
        lambda law, *_: logs[len(law.data.log_weights)],
    )  # fmt: skip
    found = compute_translation(0, 30, 4)
    for seen, x in ((found.gaussian, logs[1]), (found.mixture, logs[2])):
        expected = Frequencies.of(torch.exp((x - x[0]).max(0).values), found.levels)
        assert torch.equal(seen.share, expected.share)
    assert torch.allclose(found.paths.mean, logs[2].exp().mean(1))
    assert math.isclose(found.h, 1.5)
