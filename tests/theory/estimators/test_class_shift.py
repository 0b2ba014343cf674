"""A shift for each class: found where classes differ, pooled where images are few, else left alone."""

import pytest
import torch

from tests.draws import normal
from tests.refusals import refusal
from theory.calibration.network import Calibrated
from theory.calibration.procedure import calibrate
from theory.calibration.validation import validate
from theory.diffusion.schedules import VPCosine
from theory.estimators import class_shift
from theory.estimators.class_shift import _of_time, _pool
from theory.forward.keyed_noise import keyed_noise
from theory.statistics.lower_bounds import lower_bounds
from theory.statistics.neyman_allocation import Goal
from theory.statistics.shrinkage import SHRUNK
from theory.support.errors import InputError

SCHEDULE, SHAPE, TIMES = VPCosine(), (1, 4, 4), [0.7, 0.9]
N = 480
LABELS = torch.arange(N) % 3
IMAGES = 0.1 * keyed_noise(0, "images", 0, 0, torch.arange(N), SHAPE)
HELD_OUT = 0.1 * keyed_noise(0, "held-out", 0, 0, torch.arange(N), SHAPE)
BIASES = 0.2 * keyed_noise(0, "bias", 0, 0, torch.arange(3), SHAPE) + 0.1


def network(biases=BIASES):
    """The noise of nearly pure noise, plus a bias of each class."""

    def predict(x_t, t, condition):
        return 0.95 * x_t + biases[condition].to(x_t)

    return predict


def made(labels=LABELS, images=IMAGES, biases=BIASES, **options):
    return calibrate(
        network(biases), SCHEDULE, images=images, times=TIMES, conditions=labels, classes=3,
        **{"order": 0} | options,
    )  # fmt: skip


def test_each_class_loses_its_own_bias():
    calibrated = Calibrated(network(), made())
    x_t, t = HELD_OUT[:3], torch.full((3,), 0.9, dtype=torch.float64)
    left = calibrated(x_t, t, torch.arange(3)) - 0.95 * x_t
    assert left.square().sum() < 0.05 * BIASES.square().sum()


def test_a_label_that_it_does_not_know_gets_the_shared_shift():
    calibration = made()
    x_t, t = HELD_OUT[:1], torch.tensor([0.9], dtype=torch.float64)
    unknown = calibration.correction(x_t, t, x_t, torch.tensor([3]))
    assert torch.equal(unknown, calibration.at(t))
    assert torch.equal(calibration.correction(x_t, t, x_t), calibration.at(t))
    assert not torch.equal(calibration.correction(x_t, t, x_t, torch.tensor([1])), unknown)


def test_the_gain_on_held_out_images_is_that_of_the_classes():
    calibration = made()
    validation = validate(network(), calibration, images=HELD_OUT, conditions=LABELS)
    spread = (BIASES - BIASES.mean(0)).square().flatten(1).sum(1).mean().item()
    more = (validation.gains - validation.shift_gains).mean(0)
    assert (more > 0.8 * spread).all()
    assert (more < 1.1 * spread).all()
    assert (calibration.class_shift.certificates < spread).all()
    assert (calibration.class_shift.certificates > spread / 2).all()


@pytest.mark.parametrize("seed", range(5))
def test_classes_that_do_not_differ_are_left_to_the_shared_shift(seed):
    calibration = made(biases=BIASES[:1].expand(3, *SHAPE), seed=seed)
    assert not calibration.class_shift.shift.any()
    assert calibration.weights.min() > 0.5


def test_a_class_of_few_images_is_pooled_more():
    labels = torch.where(torch.arange(N) < 12, 2, LABELS % 2)
    weights = made(labels=labels, policy=SHRUNK).class_shift.weights
    assert (weights[:, 2] < weights[:, 0]).all()
    assert (weights[:, :2] > 0.5).all()


def test_a_class_without_images_gets_the_shared_shift():
    calibration = made(labels=LABELS % 2, policy=SHRUNK)
    assert not calibration.class_shift.shift[:, 2].any()
    assert calibration.class_shift.shift[:, 0].any()


def test_a_budget_can_have_classes():
    calibration = made(goal=Goal(evaluations=800))
    assert calibration.class_shift.weights.shape == (2, 3)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "got no conditions"),
        (LABELS.double(), "an integer label"),
        (LABELS + 1, "from 0 to 2, got 1 to 3"),
        ([str(k) for k in LABELS.tolist()], "an integer label"),
    ],
)
def test_what_are_no_labels_is_refused(labels, message):
    def predict(x_t, t, condition=None):
        return x_t

    with pytest.raises(InputError, match=message):
        calibrate(predict, SCHEDULE, images=IMAGES, times=TIMES, conditions=labels, classes=3)


def test_a_class_shift_is_of_its_times_and_images():
    part = made().class_shift
    part.require_fit(2, SHAPE)
    for times, shape in ((3, SHAPE), (1, SHAPE), (2, (1, 4, 5)), (2, (16,))):
        with refusal(r"calibration: class shift: expected float64 \(\d, 3, "):
            part.require_fit(times, shape)


def test_a_gain_is_known_from_so_many_groups_and_no_fewer():
    least = class_shift.LEAST_GROUPS
    for groups in (least - 1, least, least + 1):
        total = normal(0, groups, 2, 3) + torch.tensor([[1.0], [-1.0]])
        gains = _of_time(torch.ones(groups, 2).double(), total, torch.zeros(3).double())[2]
        assert gains.shape == (groups,)
        assert bool(gains.isfinite().all()) == (groups >= least)


def test_pooling_of_two_classes_by_hand():
    """Means 1 and 5 of two images each, whose deviations about them are all 1.

    V = 4/2 = 2, so that each mean has the error 1; tau^2 = 4 - 1/2, as half of it is shared.
    """
    total = torch.tensor([[[0.0], [4.0]], [[2.0], [6.0]]]).double()
    delta, weights = _pool(torch.ones(2, 2).double(), total)
    assert torch.allclose(weights, torch.tensor([3.5 / 4.5] * 2).double())
    assert torch.allclose(delta, 3.5 / 4.5 * torch.tensor([[-2.0], [2.0]]).double())


def test_a_group_has_no_part_in_the_shift_that_it_judges():
    """So its gain is linear in its own total: that of a mean of two is the mean of both."""
    drawn = torch.Generator().manual_seed(0)
    count = torch.full((16, 3), 4.0, dtype=torch.float64)
    total = torch.randn(16, 3, 5, generator=drawn, dtype=torch.float64)
    total += 20.0 * torch.arange(3)[:, None]  # classes that differ
    shared, other = torch.zeros(5, dtype=torch.float64), total.clone()
    other[7] += 100.0 * torch.arange(3)[:, None]

    def gain(of):
        return _of_time(count, of, shared)[2][7].item()

    assert gain((total + other) / 2) == pytest.approx((gain(total) + gain(other)) / 2)
    assert abs(gain(other) - gain(total)) > 1


def test_a_group_is_judged_by_the_classes_of_its_own_images():
    """Group 7 has three images of the first class and one of the second: weights 3/4 and 1/4."""
    generator = torch.Generator().manual_seed(0)
    count = torch.full((16, 2), 2.0, dtype=torch.float64)
    count[7] = torch.tensor([3.0, 1.0])
    total = torch.randn(16, 2, 5, generator=generator, dtype=torch.float64)
    total += 9.0 * torch.arange(2)[:, None] * count[..., None]
    shared = total.sum((0, 1)) / count.sum()
    others = torch.arange(16) != 7
    delta, _ = _pool(count[others], total[others])
    gains = (2 * delta * (total[7] / count[7][:, None] - shared) - delta**2).sum(1)
    expected = 0.75 * gains[0] + 0.25 * gains[1]
    assert _of_time(count, total, shared)[2][7].item() == pytest.approx(expected.item())


@pytest.mark.parametrize("t", [0.5, 0.95])
def test_classes_have_no_shift_beyond_the_times(t):
    """Nothing was measured there, as for the shared shift."""
    calibration, x_t = made(), HELD_OUT[:3]
    at = torch.tensor([t], dtype=torch.float64)
    assert not calibration.correction(x_t, at, x_t, torch.arange(3)).any()
    assert calibration.correction(x_t, 0 * at + 0.8, x_t, torch.arange(3)).any()


def test_bounds_hold_for_all_times_and_parts_at_once(monkeypatch):
    """Two times, a shift and a shift of each class, and the total: five statements."""
    asked = []

    def bounds(gains, statements):
        asked.append(statements)
        return lower_bounds(gains, statements)

    monkeypatch.setattr(class_shift, "lower_bounds", bounds)
    made()
    assert asked == [2 * len(TIMES) + 1]
