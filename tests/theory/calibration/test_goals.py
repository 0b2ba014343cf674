"""Goals of a calibration: a budget is kept, and precision costs evaluations."""

import pytest
import torch

from tests.refusals import refusal
from tests.theory.known_pixels import SCHEDULE, SHAPE, TIMES, KnownPixels, images
from theory.calibration.passes import pose
from theory.calibration.procedure import calibrate, parts_of
from theory.calibration.sequential import _Sequential
from theory.diffusion.targets import NOISE
from theory.forward.images import ImageSet
from theory.forward.network import Network
from theory.statistics.neyman_allocation import Goal
from theory.statistics.shrinkage import UNSHRUNK


def noisy(t, x_0):
    """A bias that differs from image to image, more at some times than at others."""
    return 0.5 + (0.02 + (t > 0.3).double())[:, None, None, None] * x_0 / 100


def run(goal, network=None, n=600, **options):
    network = network or KnownPixels(noisy)
    return calibrate(network, SCHEDULE, images=images(n), times=TIMES, goal=goal, seed=1, **options)


def test_a_budget_is_kept():
    calibration = run(Goal(evaluations=1000))
    spent = sum(choice.evaluations for choice in calibration.choices)
    assert 900 <= calibration.provenance["evaluations"] <= 1000
    assert spent <= calibration.provenance["evaluations"]


def test_the_least_budget_does_and_one_evaluation_less_is_refused():
    """Two images with two draws at each time."""
    least = 4 * len(TIMES)
    assert run(Goal(evaluations=least)).provenance["evaluations"] == least
    with refusal(f"budget: expected at least {least} evaluations .* got {least - 1}"):
        run(Goal(evaluations=least - 1))


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


def test_the_plain_average_is_held_against_as_many_evaluations_in_pairs_too():
    """What is odd in the noise cancels in a pair, so that two draws are worth their cost."""
    x_0 = 0.01 * images(200) / 100
    network = Network(lambda x_t, t: x_t + torch.sin(3 * x_t), SCHEDULE, NOISE)
    problem = pose(network, ImageSet(x_0), SCHEDULE.times(TIMES), parts_of(0), seed=0)
    run_here = _Sequential(problem, Goal(evaluations=1200))
    passed = run_here.run()
    assert {choice.draws for choice in passed.choices} == {2}
    expected = [
        variance / (choice.images * 2)
        for variance, choice in zip(run_here.plain_variance, passed.choices, strict=True)
    ]
    assert list(passed.plain_error_energy) == pytest.approx(expected)


def test_another_seed_takes_the_images_in_another_order():
    problems = [
        pose(
            Network(KnownPixels(noisy), SCHEDULE, NOISE), ImageSet(images(60)), SCHEDULE.times(TIMES),
            parts_of(0), seed=seed,
        )
        for seed in (0, 1, 1)
    ]  # fmt: skip
    zero, one, again = (_Sequential(p, Goal(evaluations=500)).rank for p in problems)
    assert sorted(one.tolist()) == list(range(60))
    assert torch.equal(one, again) and not torch.equal(one, zero)


def test_what_differs_with_the_image_is_told_by_the_mean_of_all_images():
    """An error of another share of the image in each pixel: the regression on it leaves next to nothing."""
    shares = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(SHAPE)
    network = KnownPixels(lambda t, x_0: 0.5 + shares * x_0 / 100)
    found = run(Goal(evaluations=1000), network, policy=UNSHRUNK, order=0)
    assert {choice.estimator for choice in found.choices} == {"regression"}
    assert max(choice.images for choice in found.choices) < 600
    exact = 0.5 + shares * images(600).mean(0) / 100
    assert (found.shift - exact).abs().max() < 5e-3, "of all images, though few are shown"
