"""Frequencies of repetitions: what is right passes, and twice as often is refused."""

import pytest
import torch
from scipy.stats import beta, binom

from theory.bounds.gaussian_tails import clocks
from toy.claims import coverage, estimation, maximal_inequalities
from toy.claims.repetitions import PASSED_WRONGLY, as_often_as, at_most
from toy.claims.tail_frequencies import HIGH_NOISE, LOW_NOISE, clock_grid, exceedance
from toy.judge.claim import LEVEL
from toy.mixtures.reverse_paths import two_components


def test_suprema_are_of_paths_from_high_noise_to_low(monkeypatch):
    seen = []

    def followed(diffusion, x, times, process, generator):
        seen.append((diffusion, x, times))
        return torch.zeros(2, *x.shape, dtype=torch.float64)

    monkeypatch.setattr(maximal_inequalities, "values_along_paths", followed)
    maximal_inequalities._suprema.__wrapped__(1, 5)
    assert len(seen) == len(maximal_inequalities.PAIRS)
    for diffusion, x, times in seen:
        law = diffusion.marginal(HIGH_NOISE)
        square = law.variances[0, 0] + torch.exp(law.log_weights) @ law.means[:, 0].square()
        assert x.square().mean().item() == pytest.approx(square.item(), rel=0.1)
        assert (times[0], times[-1]) == pytest.approx((HIGH_NOISE, LOW_NOISE))


def test_units_of_every_time_repetition_and_seed_have_noise_of_their_own():
    units = [u for seed in (0, 1) for r in (0, 1) for u in estimation._units(seed, r)]
    assert len({tuple(u.flatten().tolist()[:3]) for u in units}) == 4 * estimation.TIMES


NOMINAL, SEEDS = 0.05, range(40)


def trial(probability, seed):
    """Events of this probability, held against the nominal one."""
    generator = torch.Generator().manual_seed(seed)
    return at_most(lambda _: torch.rand((), generator=generator).item() < probability, NOMINAL)


def test_what_happens_as_seldom_as_it_may_passes():
    trials = [trial(NOMINAL, seed) for seed in SEEDS]
    assert all(t.deviation < 1 for t in trials)
    assert trial(0.0, 0).n < 300 < max(t.n for t in trials)


def test_what_happens_twice_as_often_is_refused():
    assert all(trial(2 * NOMINAL, seed).deviation >= 1 for seed in SEEDS)
    assert trial(1.0, 0).n < 30


def test_the_ratio_is_fair_at_the_nominal_probability_and_its_inverse_at_twice_it():
    rise = at_most(lambda _: True, NOMINAL)
    steps = rise.deviation * -torch.tensor(LEVEL).double().log() / rise.n
    up, down = steps.exp(), (1 - 2 * NOMINAL) / (1 - NOMINAL)
    assert NOMINAL * up + (1 - NOMINAL) * down == pytest.approx(1, rel=1e-9)
    assert 2 * NOMINAL / up + (1 - 2 * NOMINAL) / down == pytest.approx(1, rel=1e-9)


def power(repetitions):
    """The probability that an interval passes which misses twice as often as it says."""
    passing = [k for k in range(repetitions) if as_often_as(k, repetitions, NOMINAL).deviation <= 1]
    return binom.cdf(max(passing), repetitions, 2 * NOMINAL)


def test_there_are_enough_repetitions_to_refuse_intervals_that_miss_twice_as_often():
    assert power(coverage.REPETITIONS) <= PASSED_WRONGLY
    assert power(coverage.REPETITIONS // 3) > PASSED_WRONGLY


def test_a_count_is_measured_by_its_two_sided_limits():
    """One half of the level on each side."""
    for count, limit in ((120, binom.isf), (80, binom.ppf)):
        expected = (count - 100) / (limit(LEVEL / 2, 2000, NOMINAL) - 100)
        assert as_often_as(count, 2000, NOMINAL).deviation == pytest.approx(expected, rel=1e-12)


def test_several_tails_share_the_level():
    """Two events of one bound: each has half of the level, and the worse one counts."""
    often, seldom = (torch.arange(100, dtype=torch.float64) for _ in range(2))
    tails = [(often, 80.0, 0.3), (seldom, 90.0, 0.3)]
    assert exceedance(tails[:1]).deviation == pytest.approx(beta.ppf(LEVEL, 20, 81) / 0.3)
    assert exceedance(tails).deviation == pytest.approx(beta.ppf(LEVEL / 2, 20, 81) / 0.3)


@pytest.mark.parametrize("ticks", [lambda tau: tau, torch.log], ids=["clock", "its logarithm"])
def test_a_grid_is_even_in_the_clock_of_the_martingale(ticks):
    """Steps of one size in the clock; in time the last of them are much shorter than the first."""
    diffusion = two_components(1, 0.0, 10.0)
    grid = torch.tensor(clock_grid(diffusion, 10.0, ticks=ticks), dtype=torch.float64)
    steps = ticks(clocks(diffusion.schedule, 10.0, grid)).diff()
    assert steps.min() > 0
    assert steps.std() < 0.05 * steps.mean()
    assert grid.diff().std() > 0.2 * grid.diff().mean().abs()
    assert (grid[0], grid[-1]) == (HIGH_NOISE, LOW_NOISE)
