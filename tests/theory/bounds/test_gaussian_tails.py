"""The exact tails of one Gaussian: between their bounds, by simulation, and on their clock."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.draws import normal
from theory.bounds.concentration import variance_proxy, ville
from theory.bounds.gaussian_tails import (
    absolute_moment,
    absolute_supremum_tail,
    clock,
    clock_between,
    log_supremum_tail,
    translation_tail,
)
from theory.diffusion.schedules import EDM, RectifiedFlow, VPLinear


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
    n, steps, start, variance, h = 20_000, 400, 0.3, 0.8, 2.0
    first = start**0.5 * normal(0, n, 1)
    moved = (normal(1, n, steps) * (variance / steps) ** 0.5).cumsum(1)
    run = torch.arange(1, steps + 1) * variance / steps

    def frequency(exceeded):
        return exceeded.double().mean().item()

    absolute = frequency((first + moved).abs().amax(1) >= 1.2)
    one_sided = frequency(moved.amax(1) >= 1.0)
    translated = frequency((-h * moved - h**2 * run / 2).amax(1) >= math.log(3))
    assert absolute == pytest.approx(absolute_supremum_tail(1.2, start, variance), abs=0.03)
    assert one_sided == pytest.approx(math.exp(log_supremum_tail(1.0, variance)), abs=0.03)
    assert translated == pytest.approx(translation_tail(3.0, h, variance), abs=0.03)


@pytest.mark.parametrize("schedule", [VPLinear(), RectifiedFlow(), EDM()], ids=lambda s: s.name)
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
