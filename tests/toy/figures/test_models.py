"""Models with planted error in the figures: losses, guided errors and orders, against sums over a grid."""

import pytest
import torch
from scipy.stats import t as student

from theory.diffusion.likelihood_bound import discrete_bound
from theory.diffusion.schedules import VPLinear
from theory.diffusion.targets import NAMED
from toy.figures.betting import FLOORS, MEAN, SIZES, compute_price
from toy.figures.common import mixture_on_line
from toy.figures.likelihood_bounds import compute_refinement
from toy.figures.models import compute_guidance, compute_loss
from toy.figures.orders import compute_orders
from toy.strategies.likelihood import LikelihoodCase
from toy.strategies.mixtures import Components
from toy.strategies.time_pairs import time_pair


def test_every_loss_is_a_parabola_about_its_own_least():
    found = compute_loss()
    assert list(found.losses) == list(found.falls) == list(found.eta) == list(NAMED)
    assert len(set(found.eta.values())) == len(NAMED)
    for name, losses in found.losses.items():
        parabola = found.least[name] + (found.shifts - found.eta[name]) ** 2
        assert torch.allclose(losses, parabola)
        assert torch.allclose(found.falls[name], found.ratios**2 - 2 * found.ratios)
    assert torch.equal(found.parabola, found.ratios**2 - 2 * found.ratios)


def test_guided_errors_are_of_the_predictions_at_every_scale_under_the_labels_law():
    """At 0.5 and at 3 the density and the predictions give the errors of those scales."""
    whole = compute_guidance()
    assert whole.scale == 3
    for k in (2, 12):
        scale = whole.scales[k].item()
        found = compute_guidance(scale)
        assert found.scale == scale
        assert torch.trapezoid(found.density, found.x).item() == pytest.approx(1, abs=0.01)
        exact = found.predictions["exact"]
        assert set(whole.errors) == set(found.predictions) - {"exact"}
        for name, errors in whole.errors.items():
            squares = (found.predictions[name] - exact) ** 2
            mean = torch.trapezoid(found.density * squares, found.x)
            assert errors[k].item() == pytest.approx(mean.sqrt().item(), rel=0.02), name
        assert whole.errors["own"][k] < min(whole.errors[n][k] for n in ("wrong", "uncalibrated"))


def test_losses_of_each_order_are_above_the_least_by_what_the_order_leaves():
    found = compute_orders(0, 1000, 3)
    law, x = mixture_on_line(), torch.linspace(-9, 9, 20_001).double()[:, None]
    times = VPLinear().time_of(found.log_snr).tolist()
    assert times[0] == pytest.approx(0.99) and times[-1] == pytest.approx(0.02)
    assert (found.excess["affine"] < found.excess["constant"]).all()
    assert (found.excess["constant"] < found.excess["none"]).all()
    for t, least in zip(times, found.least.tolist(), strict=True):
        exact = law.noise_prediction(x, t)[:, 0]
        known = torch.trapezoid(law.marginal(t).log_density(x).exp() * exact**2, x[:, 0])
        assert least == pytest.approx(1 - known.item(), abs=1e-6)
    assert found.images == 1000


def test_the_discrete_bound_tends_to_the_integral_at_first_order():
    found = compute_refinement()
    assert set(found.error) == set(found.order) == {"vp-linear", "vp-cosine", "rectified-flow"}
    for name, error in found.error.items():
        assert (error.diff() < 0).all() and error[-1] < 5e-3
        assert torch.allclose(found.order[name], -torch.log2(error[1:] / error[:-1]))
        assert found.order[name][-1].item() == pytest.approx(1, abs=0.05)
    assert torch.equal(found.steps, 4 * 2 ** torch.arange(9))
    alone = Components((1.0,), ((-1.0,),), ((0.6,),), ())
    pair = time_pair(VPLinear(), 4.0, -2.0)
    case = LikelihoodCase(alone, pair, 0.8, 0.0, 0.3, 0.0, 1.0)

    def bound(steps):
        times = torch.linspace(pair.s, pair.t, steps + 1, dtype=torch.float64)
        return discrete_bound(pair.schedule, times, case.squared_noise_error(times)).item()

    off = bound(4) / bound(200_000) - 1
    assert found.error["vp-linear"][0].item() == pytest.approx(abs(off), rel=1e-3)


def test_the_asymptotic_price_is_students_one_sided_bound_over_the_mean():
    found, last = compute_price(0), SIZES[-1]
    draws = torch.randn(10, last, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gains = (MEAN + draws).clamp(-FLOORS[0], FLOORS[0])
    for k, n in enumerate(SIZES):
        part = gains[:, :n].numpy()
        ends = [student.interval(0.9, n - 1, g.mean(), g.std(ddof=1) / n**0.5)[0] for g in part]
        assert found.student[k].item() == pytest.approx(sum(ends) / 10 / MEAN)
    assert found.sizes.tolist() == list(SIZES)
    assert list(found.betting) == [f"{floor:g}" for floor in FLOORS]
