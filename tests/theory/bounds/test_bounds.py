"""The concentration bounds by hand-computed values, and what they refuse."""

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from theory.bounds.concentration import (
    ComponentProbability,
    PosteriorMean,
    azuma_hoeffding,
    doob,
    marginal_proxy,
    quadratic_variation_tail,
    variance_proxy,
    ville,
)
from theory.bounds.gaussian_tails import (
    absolute_moment,
    absolute_supremum_tail,
    clock,
    clock_between,
    log_supremum_tail,
    translation_tail,
)
from theory.diffusion.schedules import EDM, RectifiedFlow, VPLinear
from theory.support.errors import InputError

COMPONENT = ComponentProbability()
SCHEDULES = (VPLinear(), RectifiedFlow(), EDM())


def test_values_by_hand():
    assert doob(2.0, 1.0, 2.0) == 0.25
    assert doob(0.5, 1.0, 1.0) == 1.0
    assert quadratic_variation_tail(2.0, 2.0) == pytest.approx(math.exp(-1))
    assert ville(20.0) == pytest.approx(0.05)
    assert ville(20.0, start=4.0) == pytest.approx(0.2)
    assert azuma_hoeffding(0.5, [0.1] * 10, COMPONENT) == pytest.approx(2 * math.exp(-5))
    assert marginal_proxy(2.0, 1.0, 3.0) == pytest.approx(4 / 13)


@pytest.mark.parametrize(
    "ends", [(-math.inf, math.inf), (0.0, math.inf), (math.nan, 1.0), (1.0, 1.0)]
)
def test_an_unbounded_martingale_is_refused(ends):
    with pytest.raises(InputError, match="posterior mean: expected data in a bounded interval"):
        PosteriorMean(*ends)


@dataclass(frozen=True)
class Score:
    """A score that says that it is bounded."""

    low: float = -5.0
    high: float = 5.0


@pytest.mark.parametrize("of", [Score(), Score, "score", None, ComponentProbability])
def test_what_is_not_known_to_be_bounded_is_refused(of):
    with pytest.raises(InputError, match="Azuma-Hoeffding: expected a martingale that is known"):
        azuma_hoeffding(1.0, [0.5], of)
    assert azuma_hoeffding(1.0, [0.5], PosteriorMean(-5.0, 5.0)) == pytest.approx(2 * math.exp(-8))


@pytest.mark.parametrize("widths", [[], [0.0], [-1.0], [1.5], [math.inf], [math.nan]])
def test_widths_that_bound_no_increment_are_refused(widths):
    with pytest.raises(InputError, match="expected widths"):
        azuma_hoeffding(0.5, widths, COMPONENT)


@pytest.mark.parametrize(
    "call",
    [
        lambda: doob(1.0, 1.0, 0.5),
        lambda: doob(0.0, 1.0, 2.0),
        lambda: quadratic_variation_tail(1.0, 0.0),
        lambda: ville(-1.0),
        lambda: azuma_hoeffding(math.nan, [0.5], COMPONENT),
    ],
)
def test_what_no_bound_is_for_is_refused(call):
    with pytest.raises(InputError, match="expected"):
        call()


@given(st.floats(0.05, 5.0), st.floats(0.05, 5.0), st.floats(0.1, 4.0))
def test_exact_suprema_lie_between_the_last_time_and_twice_that(start, variance, eps):
    last = math.erfc(eps / math.sqrt(2 * (start + variance)))
    exact = absolute_supremum_tail(eps, start, variance)
    assert last - 1e-9 <= exact <= min(1.0, 2 * last) + 1e-9


@given(st.floats(1.0, 1e3), st.floats(0.1, 3.0), st.floats(0.01, 100.0))
def test_translation_tail_grows_to_ville(threshold, h, variance):
    exact = translation_tail(threshold, h, variance)
    assert exact <= translation_tail(threshold, h, 2 * variance) * (1 + 1e-12)
    assert exact <= ville(threshold) * (1 + 1e-12)
    assert translation_tail(threshold, h, 1e6) == pytest.approx(1 / threshold)


def test_brownian_path_by_simulation():
    generator = torch.Generator().manual_seed(0)
    n, steps, start, variance, h = 20_000, 400, 0.3, 0.8, 2.0
    first = start**0.5 * torch.randn(n, 1, generator=generator, dtype=torch.float64)
    steps_taken = torch.randn(n, steps, generator=generator, dtype=torch.float64)
    moved = (steps_taken * (variance / steps) ** 0.5).cumsum(1)
    run = torch.arange(1, steps + 1) * variance / steps
    frequency = {
        "absolute": ((first + moved).abs().amax(1) >= 1.2).double().mean().item(),
        "one-sided": (moved.amax(1) >= 1.0).double().mean().item(),
        "translation": ((-h * moved - h**2 * run / 2).amax(1) >= math.log(3))
        .double()
        .mean()
        .item(),
    }
    assert frequency["absolute"] == pytest.approx(
        absolute_supremum_tail(1.2, start, variance), abs=0.03
    )
    assert frequency["one-sided"] == pytest.approx(
        math.exp(log_supremum_tail(1.0, variance)), abs=0.03
    )
    assert frequency["translation"] == pytest.approx(translation_tail(3.0, h, variance), abs=0.03)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
def test_clock_runs_by_its_increments(schedule):
    s, t = (schedule.time_of(torch.tensor(x, dtype=torch.float64)).item() for x in (2.0, -1.0))
    increment = clock_between(schedule, 0.7, s, t)
    assert increment == pytest.approx(clock(schedule, 0.7, s) - clock(schedule, 0.7, t), rel=1e-12)
    assert increment == pytest.approx(variance_proxy(schedule, 0.7, 0.0, s, t), rel=1e-10)
    assert increment < variance_proxy(schedule, 0.7, 5.0, s, t)


def test_variance_proxy_of_a_wide_gaussian_keeps_its_digits():
    exact = clock_between(EDM(), 1e6, 1.0, 20.0)
    assert variance_proxy(EDM(), 1e6, 0.0, 1.0, 20.0) == pytest.approx(exact, rel=1e-9)


def test_absolute_moments():
    moments = [absolute_moment(4.0, p) for p in (1.0, 2.0, 4.0)]
    assert moments == pytest.approx([2 * math.sqrt(2 / math.pi), 4.0, 48.0])
