"""Arguments of the wrong kind: each works as a user would expect, or is one clear line."""

import copy
import io
import pickle
from dataclasses import replace

import jaxtyping
import numpy as np
import pytest
import torch

from tests.refusals import refusal
from tests.theory.known_pixels import SCHEDULE, SHAPE, TIMES, KnownPixels, images
from theory.calibration.arguments import as_importance
from theory.calibration.network import Calibrated
from theory.calibration.procedure import calibrate
from theory.calibration.result import Calibration
from theory.calibration.validation import validate
from theory.diffusion.schedules import DiscreteSchedule
from theory.diffusion.targets import edm_raw

NETWORK = KnownPixels()
LABELS = torch.arange(20) % 3


@pytest.fixture(scope="module", autouse=True)
def without_type_checker():
    """Users run without it, and it would refuse much of this before anything else could."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def calibration():
    return calibrate(NETWORK, SCHEDULE, images=images(20), times=TIMES)


@pytest.fixture(scope="module")
def of_classes():
    return calibrate(
        NETWORK, SCHEDULE, images=images(20), times=TIMES, conditions=LABELS, classes=3
    )


WRONG = {
    "times": (-3, 0, True, 2.5, None, "5", 10**9, [], ["a"], [0.5, 0.5], [7.0], [[0.1]], {}),
    "target": (None, 3, "nois", NETWORK),
    "estimator": (None, "plain", 1),
    "policy": (None, "certified", 1),
    "goal": (5, "1000", 0.1),
    "order": (2, True, "1", None),
    "seed": (-1, 1.5, "0", None, True),
    "draws": (0, 2.0, "1", None, False),
    "batch_size": (0, 1.5, "8", None, True),
    "images": (
        None,
        5,
        torch.tensor(1.0),
        images(20).requires_grad_(),
        images(20).long(),
        "digits",
    ),
    "conditions": (5, LABELS[:3], "abc"),
    "groups": (5, "abc", ["a"], LABELS[:3], {}),
    "reference": (5, "network"),
    "importance": ([1.0], "a", torch.tensor([1.0, -1.0, 1.0]), [0.0] * 3, [np.nan, 1.0, 1.0], 5),
    "device": ("foo", 1.5, []),
    "provenance": (5, "text", {"a": NETWORK}, {"a": {1, 2}}, {"a": torch.ones(2)}),
}


@pytest.mark.parametrize("argument", WRONG)
def test_a_wrong_argument_is_one_line_before_the_network_runs(argument):
    def never(*_):
        pytest.fail("the network was run")

    for value in WRONG[argument]:
        given = {"images": images(20), "times": TIMES, argument: value}
        with refusal(" expected |times outside", (argument, value)):
            calibrate(never, SCHEDULE, **given)


def test_a_wrong_network_schedule_or_prediction_is_one_line():
    for network, schedule in (
        (None, SCHEDULE),
        ("digits", SCHEDULE),
        (NETWORK, None),
        (NETWORK, 5),
    ):
        with refusal("expected a", (network, schedule)):
            calibrate(network, schedule, images=images(20), times=TIMES)
    with refusal("expected a prediction as a tensor, got tuple"):
        calibrate(lambda x, t: (NETWORK(x, t),), SCHEDULE, images=images(20), times=TIMES)


def test_numbers_of_other_kinds_work(calibration):
    seen = []
    given = {"seed": np.int64(0), "draws": np.int64(1), "batch_size": np.int64(7)}
    for times in (
        np.array(TIMES),
        tuple(TIMES),
        torch.tensor(TIMES),
        (np.float64(t) for t in TIMES),
    ):
        same = calibrate(
            NETWORK, SCHEDULE, images=images(20), times=times, importance=[1, 1, 1], **given
        )
        assert torch.equal(same.shift, calibration.shift)
        seen.append(calibrate(NETWORK, SCHEDULE, images=images(20), times=np.int64(3)).times)
    assert all(torch.equal(times, SCHEDULE.grid(3)) for times in seen)


def test_a_time_may_be_worth_nothing():
    assert as_importance([0, 2.0, 1], 3).tolist() == [0.0, 2.0, 1.0]


def test_a_table_may_have_fewer_times_than_asked_for():
    table = DiscreteSchedule(torch.cumprod(1 - torch.linspace(1e-4, 0.3, 30), 0))
    found = calibrate(lambda x, _: x, table, images=images(20), times=40).times
    assert 2 < len(found) <= 30


def test_a_calibrated_network_takes_times_as_its_users_have_them(calibration):
    x_t, model = images(4), Calibrated(NETWORK, calibration)
    expected = model(x_t, torch.full((4,), 0.25, dtype=torch.float64))
    for t in (0.25, [0.25], [0.25] * 4, (0.25,) * 4, np.float64(0.25), np.full(4, 0.25)):
        assert torch.allclose(model(x_t, t), expected, atol=1e-5), t
    for t in (True, 1j, "0.25", None, [0.25] * 3, torch.full((4, 1), 0.25), torch.ones(4) > 0, {}):
        with refusal("expected .*time", t):
            model(x_t, t)
    for x in (None, 5, [[1.0]], torch.tensor(1.0), x_t[:, :, :2], x_t.numpy()):
        with refusal("expected images", x):
            model(x, 0.25)


def test_a_calibrated_network_takes_a_file_and_refuses_what_is_no_calibration(
    calibration, tmp_path
):
    calibration.save(tmp_path / "it.safetensors")
    x_t = images(4)
    for path in (tmp_path / "it.safetensors", str(tmp_path / "it.safetensors")):
        assert torch.equal(
            Calibrated(NETWORK, path)(x_t, 0.25), Calibrated(NETWORK, calibration)(x_t, 0.25)
        )
    for network, given in (
        (None, calibration),
        ("digits", calibration),
        (NETWORK, None),
        (NETWORK, 5),
    ):
        with refusal("expected a", (network, given)):
            Calibrated(network, given)
    with refusal("calibration: expected a Calibration"):
        validate(NETWORK, None, images=images(20, first=20))


def test_labels_of_any_whole_kind_give_the_same_shift(of_classes):
    x_t, model = images(4), Calibrated(NETWORK, of_classes)
    labels = torch.tensor([0, 1, 2, 7])
    expected = model(x_t, 0.25, labels)
    for given in (labels.tolist(), labels.numpy(), labels.int(), tuple(labels.tolist())):
        assert torch.equal(model(x_t, 0.25, given), expected)
    for wrong in (
        labels[:, None], labels.float(), labels[0], 1, labels[:3], torch.eye(4), ["a"] * 4, labels > 0,
    ):  # fmt: skip
        with refusal("classes: expected an integer label for each of 4 images", wrong):
            model(x_t, 0.25, wrong)


def test_labels_may_be_a_list_when_a_shift_of_each_class_is_made(of_classes):
    same = calibrate(
        NETWORK, SCHEDULE, images=images(20), times=TIMES, conditions=LABELS.tolist(), classes=3
    )
    assert torch.equal(same.class_shift.shift, of_classes.class_shift.shift)
    for wrong in ([0.5] * 20, ["a"] * 20, torch.eye(20)):
        with refusal("classes: expected an integer label", wrong):
            calibrate(
                NETWORK, SCHEDULE, images=images(20), times=TIMES, conditions=wrong, classes=3
            )
    for wrong in (0, -1, True, 2.5, "3"):
        with refusal("classes: expected", wrong):
            calibrate(
                NETWORK, SCHEDULE, images=images(20), times=TIMES, conditions=LABELS, classes=wrong
            )


def test_a_path_that_is_none_is_one_line(calibration, tmp_path):
    for path in (None, 5, b"it"):
        with refusal("calibration: expected the path of a file", path):
            Calibration.load(path)
        with refusal("calibration: expected the path of a file", path):
            calibration.save(path)
    with refusal("expected a file, .* is a folder"):
        Calibration.load(tmp_path)


def test_a_calibration_can_be_pickled_and_copied(calibration):
    again = pickle.loads(pickle.dumps(calibration))
    assert again.target is calibration.target
    assert torch.equal(again.shift, calibration.shift)
    assert torch.equal(copy.deepcopy(calibration).shift, calibration.shift)
    torch.save(Calibrated(NETWORK.bias, calibration), io.BytesIO())
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(edm_raw(0.7, "another"))


def test_doubts_that_are_no_texts_are_refused(calibration):
    for doubts in ("text", [1], (1,), None):
        with refusal("expected doubts as texts", doubts):
            replace(calibration, doubts=doubts)


def test_what_is_printed_is_short_and_right(calibration):
    found = validate(NETWORK, calibration, images=images(40, first=20))
    assert len(repr(found)) < 500
    assert "40 held-out images at 3 times" in repr(found)
    assert f"{calibration.provenance['evaluations']:,} network evaluations" in repr(calibration)
    budgeted = calibration.with_provenance(evaluations=12_345)
    assert "12,345 network evaluations" in repr(budgeted)
    assert tuple(calibration.shape) == SHAPE
