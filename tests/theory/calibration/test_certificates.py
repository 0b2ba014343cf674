"""What a certificate counts: what is applied alone, chosen by other images, at a shared level."""

from itertools import product

import pytest
import torch

from tests.theory.estimators.test_slope_fit import IMAGES, SCHEDULE, TIMES, exact
from theory.calibration.passes import full_pass, pose
from theory.calibration.procedure import calibrate, conclude, parts_of
from theory.diffusion.targets import NOISE
from theory.estimators.control_variates import REGRESSION
from theory.estimators.shift_selection import select_shift
from theory.forward.forward_pass import Observation
from theory.forward.images import ImageSet
from theory.forward.network import Network
from theory.statistics.lower_bounds import lower_bounds
from theory.statistics.shrinkage import CERTIFIED, SHRUNK
from theory.statistics.smoothing import smoothers

LABELS = torch.arange(len(IMAGES)) % 3


def posed(order, classes=None):
    predict = exact()
    return pose(
        Network(lambda x_t, t, c=None: predict(x_t, t) + 0.1, SCHEDULE, NOISE),
        ImageSet(IMAGES, LABELS if classes else None),
        SCHEDULE.times(TIMES),
        parts_of(order, classes, LABELS),
        seed=0,
    )


@pytest.mark.parametrize(("order", "classes", "parts"), [(0, None, 1), (1, None, 2), (1, 3, 3)])
def test_all_statements_hold_together(order, classes, parts):
    """Bonferroni: one for each part at each time, and one for the total."""
    problem = posed(order, classes)
    passed = full_pass(problem, REGRESSION, 1)
    calibration = conclude(problem, passed, CERTIFIED)
    statements = parts * len(TIMES) + 1
    selected = select_shift(
        passed.measured.moments, problem.grid.log_snr, problem.importance, CERTIFIED, statements
    )
    assert torch.equal(calibration.certificates, selected.certificates)
    if order == 0:
        total = lower_bounds((selected.gains @ problem.importance)[:, None], statements).item()
        assert calibration.total_certificate == total > 0


def test_the_size_of_the_shift_is_told_of_a_population_and_of_these_images():
    """Four draws tell the noise of an image from what differs between images."""
    problem = posed(0)
    passed = full_pass(problem, REGRESSION, 4)
    calibration = conclude(problem, passed, CERTIFIED)
    moments = passed.measured.moments
    assert calibration.eta_sq == tuple(m.squared_norm() for m in moments)
    assert calibration.eta_sq_of_set == tuple(m.squared_norm_of_set() for m in moments)
    assert calibration.eta_sq_of_set != calibration.eta_sq


def test_copies_do_not_make_more_images_of_which_little_is_unseen():
    """Each image four times: as many independent ones as there are different ones."""
    for images in (IMAGES[:40], IMAGES[:40].repeat(4, *[1] * (IMAGES.dim() - 1))):
        shown = ImageSet(images)
        network = Network(exact(), SCHEDULE, NOISE)
        problem = pose(network, shown, SCHEDULE.times(TIMES), parts_of(1), seed=0)
        found = full_pass(problem, REGRESSION, 1).measured.independent
        assert found == [40.0] * len(TIMES)


def test_a_shift_that_stands_alone_has_a_statement_for_each_time():
    problem = posed(0)
    passed = full_pass(problem, REGRESSION, 1)
    arguments = passed.measured.moments, problem.grid.log_snr, problem.importance, CERTIFIED
    default, four = select_shift(*arguments), select_shift(*arguments, len(TIMES))
    assert torch.equal(default.certificates, four.certificates)
    assert (default.certificates < select_shift(*arguments, 1).certificates).all()


def unlabelled(x_t, t, condition=None):
    return exact()(x_t, t)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_counted_where_nothing_is_applied(seed):
    """An exact model: nothing is certain, nothing is applied, and the total is that of nothing."""
    calibration = calibrate(
        unlabelled, SCHEDULE, images=IMAGES, times=TIMES, order=1, conditions=LABELS, classes=3,
        seed=seed,
    )  # fmt: skip
    assert not any(part.applied.any() for part in calibration.parts)
    assert calibration.total_certificate == 0
    assert not any(part.gains.any() for part in calibration.parts)


def test_a_choice_is_not_tried_on_the_images_that_made_it():
    """The gain of a choice among ways, nothing being one, is negative in places for an exact model.

    Were a group tried under what it helped to choose, no mean gain could be negative.
    """
    gains = [
        calibrate(
            exact(), SCHEDULE, images=IMAGES[:96], times=TIMES, order=1, policy=SHRUNK, seed=seed
        ).slopes.gains
        for seed in range(6)
    ]
    assert (torch.cat(gains) < 0).any()


def test_classes_are_not_tried_on_the_images_that_pooled_them():
    """Classes that do not differ: what is pooled from few images does harm on others."""
    gains = [
        calibrate(
            unlabelled, SCHEDULE, images=IMAGES[:96], times=TIMES, conditions=LABELS[:96],
            classes=3, policy=SHRUNK, seed=seed,
        ).class_shift.gains
        for seed in range(6)
    ]  # fmt: skip
    assert torch.cat(gains).mean() <= 0


def test_smoothing_trusts_the_times_of_small_error():
    log_snr = torch.linspace(-6, 6, 12, dtype=torch.float64)
    errors = torch.ones(12, dtype=torch.float64)
    errors[5] = 100.0
    even = smoothers(log_snr, torch.ones(12, dtype=torch.float64))
    for trusting, wary in zip(even[1:], smoothers(log_snr, errors)[1:], strict=True):
        assert wary[5, 5] < trusting[5, 5]


def test_the_contrast_of_draws_has_the_error_of_their_mean():
    """Over all signs of four draws of noise: E|contrast|^2 = E|mean|^2."""
    draws = torch.tensor(list(product((-1.0, 1.0), repeat=4)), dtype=torch.float64).T[:, :, None]
    none, group = torch.zeros(16, 1, dtype=torch.float64), torch.zeros(16, dtype=torch.int64)
    seen = Observation(0, group, none, draws, draws, 0.0, 1.0, 1.0, 1.0)
    contrast, mean = seen.contrast(draws), draws.mean(0)
    assert contrast.square().mean().item() == pytest.approx(mean.square().mean().item())
    assert torch.equal(seen.contrast(draws + 3), contrast)
