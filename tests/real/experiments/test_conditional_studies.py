"""Repair and the studies hand every image to the network under its own condition."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from real.calibrated.conditions import ConditionedImages, of_images
from real.calibrated.repair import FULL, NONE, RepairSettings, repair
from real.checkpoints import load
from real.checkpoints.reloading import damaged
from real.cli import main
from real.compress import Damage
from real.compress import repaired_folder as folder
from real.experiments import repair_study
from real.experiments.estimator_study import EstimatorStudyPlan, run_estimator_study
from real.images.opening import open_images
from real.quality.features import PIXELS
from real.quality.measure import Reference
from tests.real.calibrated.test_conditions import checkpoint, classes  # noqa: F401
from theory.calibration.procedure import calibrate
from theory.calibration.result import Calibration
from theory.calibration.validation import validate
from theory.support.errors import InputError

TIMES = [100, 500, 900]


@pytest.fixture
def sources(classes, checkpoint):  # noqa: F811
    images = open_images(str(classes / "images.npz"), "calibration", checkpoint.shape)
    return images.every_other(0), images.every_other(1)


def shift_of(network, images, conditions):
    return calibrate(
        network.predict, network.schedule, target=network.target, images=images, times=TIMES,
        conditions=conditions, order=1,
    ).shift  # fmt: skip


@pytest.mark.parametrize("kind", ["joint", "null"])
def test_repair_is_under_the_conditions_of_the_images(checkpoint, sources, kind):  # noqa: F811
    images, held_out = sources
    settings = RepairSettings(checkpoint.schedule.times(TIMES), condition=kind)
    found = repair(checkpoint, Damage("int3"), images, held_out, settings)
    conditions = of_images(checkpoint, images, kind)
    assert torch.equal(found.calibration.shift, shift_of(found.network, images, conditions))
    assert found.calibration.provenance["condition"] == kind
    seen = of_images(checkpoint, held_out, kind)
    for network, name in ((found.network, NONE), (checkpoint, FULL)):
        losses = validate(
            network.predict, found.calibration, images=held_out, conditions=seen
        ).losses  # fmt: skip
        assert torch.allclose(found.losses[name], losses)
    other = of_images(checkpoint, images, "null" if kind == "joint" else "joint")
    assert not torch.equal(found.calibration.shift, shift_of(found.network, images, other))


def test_repair_of_a_conditional_network_from_the_command_line(classes, tmp_path):  # noqa: F811
    arguments = ["repair", str(classes / "net"), "--quantize", "int4", "--times", "3", "--quiet"]
    out = tmp_path / "out"
    with pytest.raises(InputError, match="takes class labels"):
        main([*arguments, "--data", str(classes / "bare.npz"), "--out", str(out)])
    assert not out.exists()
    main([*arguments, "--data", str(classes / "images.npz"), "--out", str(out)])
    calibration, network = Calibration.load(out / folder.CALIBRATION), load(out)
    images = open_images(str(classes / "images.npz"), "calibration", network.shape).every_other(0)
    again = calibrate(
        network.predict, network.schedule, images=images, times=calibration.times, order=1,
        target=network.target, conditions=of_images(network, images, "joint"),
    )  # fmt: skip
    assert torch.allclose(calibration.shift, again.shift, atol=1e-6)


class Spy:
    """A network that refuses to be called without a label of each image."""

    def __init__(self, predict):
        self.predict, self.seen = predict, set()

    def __call__(self, x_t, t, condition=None):
        assert condition is not None and len(condition) == len(x_t)
        self.seen |= set(condition.tolist())
        return self.predict(x_t, t, condition)


@pytest.fixture
def taken(checkpoint, sources):  # noqa: F811
    images, held_out = (
        ConditionedImages.of(checkpoint, source, "joint", "cpu") for source in sources
    )
    return {"images": images, "held_out": held_out}


def test_the_study_of_repair_is_under_the_conditions(monkeypatch, checkpoint, taken):  # noqa: F811
    spies = []

    def spied(network):
        spies.append(Spy(network.predict))
        return replace(network, predict=spies[-1])

    monkeypatch.setattr(repair_study, "damaged", lambda *given: spied(damaged(*given)))
    monkeypatch.setattr(repair_study, "REPEATS", 1)
    monkeypatch.setattr(repair_study, "TIMED_SAMPLES", 4)
    monkeypatch.setattr(repair_study, "TIMED_NFE", 2)
    monkeypatch.setattr(repair_study, "COMPARED", 2)
    monkeypatch.setattr(repair_study, "NETWORKS", {"full": None, "int4": Damage("int4")})
    plan = repair_study.RepairStudyPlan(
        checkpoint=spied(checkpoint), **taken, times=checkpoint.schedule.times([200, 700]),
        seeds=(0,), nfe=(2,), samples=6, solver="ddim", few=12, few_seeds=1,
    )  # fmt: skip
    rows = taken["held_out"].images.flatten(1)
    reference = Reference(PIXELS, rows, torch.zeros(1).double(), "cpu")
    found = repair_study.run_repair_study(plan, reference)
    assert len(spies) == 1 + 3  # one to damage, one whose biases are trained, one to time
    assert all(spy.seen == {0, 1, 2} for spy in spies)
    assert {row["correction"] for row in found.losses} > {"PTQD", "biases trained"}
    bare = ConditionedImages(taken["images"].images)
    with pytest.raises(AssertionError):
        repair_study.run_repair_study(replace(plan, images=bare), reference)


def test_the_study_of_estimators_is_under_the_conditions(checkpoint, taken):  # noqa: F811
    spy = Spy(checkpoint.predict)
    plan = EstimatorStudyPlan(
        checkpoint=replace(checkpoint, predict=spy), **taken,
        times=checkpoint.schedule.times(TIMES), seeds=1, truth_draws=2, generated_nfe=2,
    )  # fmt: skip
    found = run_estimator_study(plan)
    assert spy.seen == {0, 1, 2}
    assert {row["recipe"] for row in found.gains} > {"certified", "certified, generated"}
    bare = ConditionedImages(taken["images"].images)
    with pytest.raises(AssertionError):
        run_estimator_study(replace(plan, images=bare))


def test_conditions_go_with_their_images(taken):
    images = taken["images"]
    assert images.conditions.tolist() == [0, 2, 1] * 10  # every other of 0, 1, 2, 0, 1, 2 ...
    chosen = images.at(torch.tensor([4, 0]))
    assert chosen.conditions.tolist() == [2, 0] and torch.equal(chosen.images[1], images.images[0])
    assert images.every_other().conditions.tolist()[:3] == [0, 1, 2]
    in_turn = images.conditions_in_turn(70)
    assert np.array_equal(in_turn, images.conditions[torch.arange(70) * 30 // 70])
    assert np.array_equal(images.conditions_in_turn(3), images.conditions[[0, 10, 20]])
    assert ConditionedImages(images.images).conditions_in_turn(5) is None
