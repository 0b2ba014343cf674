"""A user's own network, FILE.py:NAME: what is taken, and what is refused."""

import numpy as np
import pytest
import torch

from real.checkpoints import load
from real.cli import main
from real.families.data_range import in_range
from tests.refusals import refusal
from theory.diffusion.schedules import RectifiedFlow
from theory.diffusion.targets import FLOW

BROUGHT = """
import torch
from theory.schedules import RectifiedFlow
from theory.targets import FLOW
from real.checkpoints import Checkpoint

class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    def forward(self, x_t, t):
        return self.scale * x_t + t.reshape(-1, 1, 1, 1)

def formula(x_t, t):
    return 2 * x_t + t.reshape(-1, 1, 1, 1)

def labelled(x_t, t, condition):
    return formula(x_t, t) * condition.reshape(-1, 1, 1, 1)

class Described:
    predict, schedule, target, shape = staticmethod(formula), RectifiedFlow(), FLOW, (3, 8, 8)

described = Described()
module = Network(), RectifiedFlow(), FLOW, (3, 8, 8)
classes = labelled, RectifiedFlow(), FLOW, [3, 8, 8], 7

def factory():
    return Network(), RectifiedFlow(), FLOW, (3, 8, 8)

class OwnFlow(RectifiedFlow): ...

own_schedule = formula, OwnFlow(), FLOW, (3, 8, 8)

whole = Checkpoint(
    "mine", "own", formula, RectifiedFlow(), FLOW, (3, 8, 8), None, "0123",
)

number = 3
few = formula, RectifiedFlow(), FLOW
other_schedule = formula, "linear", FLOW, (3, 8, 8)
other_target = formula, RectifiedFlow(), 3, (3, 8, 8)
unknown_target = formula, RectifiedFlow(), "flows", (3, 8, 8)
by_name = formula, RectifiedFlow(), "flow", (3, 8, 8)

class Misspelt(Described):
    datarange = 0, 1

class OtherNull(Described):
    conditions, null_condition = 2, 3

class Ranged(Described):
    data_range = 0, 1

unlabelled = labelled, RectifiedFlow(), FLOW, (3, 8, 8)

class NullAlone(Described):
    null_condition = 2
other_shape = formula, RectifiedFlow(), FLOW, 64
other_conditions = formula, RectifiedFlow(), FLOW, (3, 8, 8), "labels"
other_predict = None, RectifiedFlow(), FLOW, (3, 8, 8)
small = (lambda x_t, t: x_t[:, :1]), RectifiedFlow(), FLOW, (3, 8, 8)

def failing():
    raise RuntimeError("no\\nluck")
"""


@pytest.fixture
def brought(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(BROUGHT)
    return lambda name: f"{path}:{name}"


@pytest.mark.parametrize(
    "name", ["by_name", "described", "Described", "module", "factory", "whole"]
)
def test_every_kind_predicts_as_it_says(brought, name):
    checkpoint = load(brought(name))
    x_t = torch.randn((2, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    t = torch.tensor([0.25, 0.5])
    y = checkpoint.predict(x_t, t)
    assert torch.allclose(y, 2 * x_t + t.reshape(-1, 1, 1, 1))
    assert y.dtype == torch.float32
    assert (checkpoint.schedule, checkpoint.target) == (RectifiedFlow(), FLOW)
    assert (checkpoint.shape, checkpoint.conditions) == ((3, 8, 8), None)
    assert checkpoint.fingerprint


def test_labels_reach_the_network(brought):
    checkpoint = load(brought("classes"))
    x_t, t = torch.ones(2, 3, 8, 8), torch.tensor([0.0, 0.0])
    y = checkpoint.predict(x_t, t, torch.tensor([1, 3]))
    assert checkpoint.conditions == 7
    assert checkpoint.shape == (3, 8, 8)
    assert torch.equal(y[1], 3 * y[0])


def test_an_unconditional_one_takes_no_condition(brought):
    with refusal("unconditional"):
        load(brought("module")).predict(torch.ones(1, 3, 8, 8), torch.tensor([0.0]), 1)


def test_a_modules_fingerprint_is_its_weights_and_a_formulas_its_file(tmp_path, brought):
    first = {name: load(brought(name)).fingerprint for name in ("module", "described", "whole")}
    path = tmp_path / "mine.py"
    path.write_text(BROUGHT + "\n# a remark\n")
    again = {name: load(brought(name)).fingerprint for name in first}
    assert again["module"] == first["module"]
    assert again["described"] != first["described"]
    assert again["whole"] == first["whole"] == "0123"
    path.write_text(BROUGHT.replace("tensor(2.0", "tensor(3.0"))
    assert load(brought("module")).fingerprint != first["module"]


def test_what_is_not_as_it_should_be_is_refused_in_one_line(brought):
    for name, match in (
        ("nothing", "no nothing in"),
        ("number", "expected predict, schedule, target, shape .* got int without predict"),
        ("few", "got tuple without predict"),
        ("other_predict", "expected predict callable"),
        ("other_schedule", "a theory.diffusion.schedules.Schedule as schedule"),
        ("other_target", "a theory.diffusion.targets.Target or its name as target"),
        ("unknown_target", "target: expected one of noise, .* got 'flows'"),
        ("Misspelt", "expected data_range, got datarange"),
        ("OtherNull", "a null_condition that is one of the labels, or the one after them"),
        ("NullAlone", "a null_condition that is one of the labels, or the one after them"),
        ("other_shape", "positive whole numbers as shape"),
        ("other_conditions", "a number of classes, 'text' or None as conditions"),
        ("failing", "fails: RuntimeError: no luck"),
    ):
        with refusal(match, name):
            load(brought(name))


def test_a_prediction_of_another_shape_is_refused(brought):
    with refusal(r"expected a prediction of shape \(1, 3, 8, 8\)"):
        load(brought("small")).predict(torch.ones(1, 3, 8, 8), torch.tensor([0.0]))


def test_a_file_that_fails_is_refused_in_one_line(tmp_path):
    path = tmp_path / "mine.py"
    for code in ("import nothing_like_this", "raise SystemExit(0)", "def"):
        path.write_text(code)
        with refusal("cannot load", code):
            load(f"{path}:network")


def test_a_missing_file_and_a_family_are_refused(tmp_path, brought):
    with refusal("no file"):
        load(f"{tmp_path}/other.py:network")
    with refusal("of no family"):
        load(brought("module"), family="ddpm")


def test_it_calibrates_and_validates_from_the_command_line(tmp_path, brought):
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    data, out = tmp_path / "images.npz", tmp_path / "c.safetensors"
    np.savez(data, images=images)
    common = ["--data", str(data), "--quiet"]
    main(["calibrate", brought("factory"), *common, "--images", "12", "--at", "0.1,0.9",
          "--out", str(out)])  # fmt: skip
    assert out.is_file()
    with refusal("made for another network"):
        main(["validate", brought("described"), *common, "--calibration", str(out),
              "--out", str(tmp_path / "report")])  # fmt: skip


BROKEN = """
import torch
from theory.diffusion.schedules import RectifiedFlow
from theory.diffusion.targets import FLOW

def inner(x_t):
    return x_t @ torch.ones(5, 5)

def network(x_t, t):
    return inner(x_t)

def full(x_t, t):
    raise RuntimeError("CUDA out of memory")

mine = network, RectifiedFlow(), FLOW, (1, 8, 8)
large = full, RectifiedFlow(), FLOW, (1, 8, 8)
"""


def test_a_network_that_fails_says_where_and_why(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(BROKEN)
    x_t, t = torch.zeros(2, 1, 8, 8), torch.tensor([0.25, 0.25])
    where = r"mine fails at mine.py:7, called with x_t \(2, 1, 8, 8\) at t = 0.25: RuntimeError: "
    with refusal(where):
        load(f"{file}:mine").predict(x_t, t)
    with refusal(r"mine fails at mine.py:7"):
        main(["calibrate", f"{file}:mine", "--at", "0.25", "--out", str(tmp_path / "c"), "--quiet"])
    assert not (tmp_path / "c").exists()
    with pytest.raises(RuntimeError, match="out of memory"):
        load(f"{file}:large").predict(x_t, t)


def test_a_network_that_cannot_be_called_is_not_said_to_fail_in_the_toolkit(brought):
    with refusal("fails at its call, called with"):
        load(brought("unlabelled")).predict(torch.ones(1, 3, 8, 8), torch.tensor([0.0]))


def test_a_range_of_its_own_is_not_called_that_of_an_autoencoder(brought):
    with refusal("says its own, 0 to 1"):
        in_range(load(brought("Ranged")), -1.0, 1.0)


@pytest.mark.parametrize("command", ["calibrate", "fit-solver"])
def test_a_schedule_that_no_file_can_hold_is_refused_before_any_work(brought, tmp_path, command):
    out = tmp_path / "out.safetensors"
    arguments = [command, brought("own_schedule"), "--out", str(out), "--quiet"]
    more = ["--nfe", "4"] if command == "fit-solver" else []
    np.savez(tmp_path / "data.npz", images=np.zeros((40, 8, 8, 3), np.uint8))
    with refusal("schedule: expected one that a file can hold"):
        main([*arguments, *more, "--data", str(tmp_path / "data.npz")])
    assert not out.exists()
