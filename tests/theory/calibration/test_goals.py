"""Goals of a calibration: a budget is kept, and precision costs evaluations."""

import torch

from tests.theory.known_pixels import SCHEDULE, TIMES, KnownPixels, images
from theory.calibration.procedure import calibrate
from theory.statistics.neyman_allocation import Goal


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


def test_a_second_draw_that_tells_next_to_nothing_is_not_paid_for():
    """The error of the mean is of the images: two draws cost twice and leave it as it is."""

    def of_images(t, x_0):
        return 0.5 + x_0

    def rough(x_t, t):
        return KnownPixels(of_images)(x_t, t) + 0.01 * x_t

    assert {choice.draws for choice in run(Goal(evaluations=1000), rough).choices} == {1}
