"""Where evaluations go, when they stop, and what published norms say of noise."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.theory.known_pixels import SCHEDULE, TIMES, KnownPixels, images
from theory.calibration.audit import audit
from theory.calibration.procedure import calibrate
from theory.statistics.neyman_allocation import Goal, allocate, evaluations_for
from theory.support.errors import InputError

VARIANCE = torch.tensor([1.0, 16.0, 0.25, 4.0], dtype=torch.float64)
COST = torch.tensor([1, 1, 2, 2])

variances = st.lists(st.floats(0.01, 100), min_size=4, max_size=4).map(
    lambda v: torch.tensor(v, dtype=torch.float64)
)


def error(images_per_time, variance=VARIANCE):
    return (variance / images_per_time).sum().item()


def test_images_go_where_they_lower_the_error_most():
    images_per_time = allocate(VARIANCE, COST, 12000.0, 10**6)
    equal = torch.full((4,), 12000 // 6)
    assert (images_per_time * COST).sum() <= 12000
    assert error(images_per_time) < 0.9 * error(equal)
    expected = (VARIANCE * COST).sqrt().sum().item() ** 2 / 12000
    assert error(images_per_time) == pytest.approx(expected, rel=1e-2)


@given(variances, st.integers(100, 100_000), st.integers(10, 5000))
def test_no_time_gets_more_than_there_are_and_the_sum_is_kept(variance, evaluations, most):
    images_per_time = allocate(variance, COST, float(evaluations), most)
    assert (images_per_time <= most).all()
    assert (images_per_time * COST).sum() <= evaluations
    spare = evaluations - (images_per_time * COST).sum().item()
    assert spare < 8 or (images_per_time == most).all()


@given(variances, st.floats(0.01, 10))
def test_evaluations_for_an_error_give_that_error(variance, wanted):
    evaluations = evaluations_for(variance, COST, wanted)
    share = torch.sqrt(variance / COST)
    exact = evaluations * share / (share * COST).sum()
    assert error(exact, variance) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    "options", [{}, {"evaluations": 0}, {"precision": 0.0}, {"precision": -1.0}]
)
def test_bad_goals_are_refused(options):
    with pytest.raises(InputError, match="expected"):
        Goal(**options)


def noisy(t, x_0):
    """A bias that differs from image to image, more at some times than at others."""
    return 0.5 + (0.02 + (t > 0.3).double())[:, None, None, None] * x_0 / 100


def run(goal, network=None, n=600):
    network = network or KnownPixels(noisy)
    return calibrate(network, SCHEDULE, images=images(n), times=TIMES, goal=goal, seed=1)


def test_a_budget_is_kept():
    calibration = run(Goal(evaluations=1000))
    spent = sum(choice.evaluations for choice in calibration.choices)
    assert 900 <= calibration.provenance["evaluations"] <= 1000
    assert spent <= calibration.provenance["evaluations"]


def test_a_precise_goal_costs_more_than_a_rough_one():
    rough, precise = (run(Goal(precision=p)).provenance["evaluations"] for p in (0.5, 0.001))
    assert rough < precise
    assert rough == 2 * 64 * len(TIMES)


def test_a_network_that_ignores_its_input_is_best_averaged_plainly():
    calibration = run(Goal(evaluations=1000), network=lambda x_t, t: torch.ones_like(x_t))
    assert {choice.estimator for choice in calibration.choices} == {"plain"}
    assert "plain" not in {choice.estimator for choice in run(Goal(evaluations=1000)).choices}


def test_audit_finds_the_signal_under_the_noise():
    """Norms as they are expected for |eta|^2 = 1, d = 1000 and N = 500, all of it independent."""
    n, d = 500, 1000
    energy = torch.full((3,), 900.0, dtype=torch.float64)
    mean_sq = 1 + (energy - 1) / n
    found = audit(mean_sq, 0.2 * mean_sq, energy, n, d)
    assert found.surviving.sample == pytest.approx(0.3, rel=5e-3)
    assert found.net.sample == pytest.approx(0.3 - 0.1 * 3 * 899 / n, rel=1e-2)
    assert found.claimed == pytest.approx(0.1 * mean_sq.sum().item())
    assert found.surviving.population > found.surviving.sample
    assert audit(mean_sq, 0.2 * mean_sq, energy, 2 * n, d).surviving.sample > 0.5
