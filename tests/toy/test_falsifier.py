"""``python -m toy verify --schedule`` and ``--model``: what a user brings is held or caught."""

import json
import subprocess
import sys

import pytest

from theory.errors import InputError
from toy.__main__ import main
from toy.admission import load_model, load_schedule
from toy.brought import Formula, Model

BROUGHT = '''
from dataclasses import dataclass

import torch

from theory.schedules import DiscreteSchedule, EDM, RectifiedFlow, Schedule, VPLinear
from theory.targets import NOISE
from toy.brought import Model
from toy.diffusion import Diffusion
from toy.mixture import GaussianMixture


@dataclass(frozen=True)
class Flow(RectifiedFlow):
    """A schedule as it should be."""


@dataclass(frozen=True)
class SignError(RectifiedFlow):
    def d_alpha(self, t):
        return torch.ones_like(t, dtype=torch.float64)


@dataclass(frozen=True)
class Backwards(RectifiedFlow):
    def alpha(self, t):
        return t.double()

    def sigma(self, t):
        return 1 - t.double()


@dataclass(frozen=True)
class WrongInverse(EDM):
    def time_of(self, log_snr):
        return torch.exp(log_snr / 2)


@dataclass(frozen=True)
class Raises(EDM):
    def alpha(self, t):
        raise KeyError("one\\ntwo")


instance = VPLinear()
table = DiscreteSchedule([0.99, 0.7, 0.3, 0.01])
mixture = GaussianMixture.diagonal(
    torch.tensor([0.4, 0.6]), torch.tensor([[-1.0], [2.0]]), torch.tensor([0.3, 0.5])
)
diffusion = Diffusion(mixture, VPLinear())


def exact(x_t, t):
    return diffusion.marginal(t[0].item()).score(x_t)


good = Model(exact, diffusion)
noise = Model(lambda x, t: diffusion.noise_prediction(x, t[0].item()), diffusion, NOISE)
on_table = Model(
    lambda x, t: Diffusion(mixture, table).marginal(float(int(t[0]))).score(x),
    Diffusion(mixture, table),
)
constant = Model(lambda x, t: exact(x, t) + 0.01, diffusion)
doubled = Model(lambda x, t: 2 * exact(x, t), diffusion)
single = Model(lambda x, t: exact(x, t).float(), diffusion)
flat = Model(lambda x, t: exact(x, t)[:, 0], diffusion)


def formula(x_t, t, diffusion):
    return diffusion.marginal(t[0].item()).score(x_t)


def wrong_formula(x_t, t, diffusion):
    return formula(x_t, t, diffusion) + 0.01


def no_score(x_t, t, diffusion):
    return torch.full_like(x_t, torch.nan)
'''

EXAMPLES = ("--examples", "30", "--quiet")


@pytest.fixture
def brought(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(BROUGHT)
    return path


def verdicts(brought, option, name, tmp_path):
    out = tmp_path / "verdicts.json"
    status = main(["verify", option, f"{brought}:{name}", *EXAMPLES, "--json", str(out)])
    claims = json.loads(out.read_text())["claims"]
    return status, {claim["id"]: claim for claim in claims}


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--schedule", "Flow"),
        ("--schedule", "instance"),
        ("--schedule", "table"),
        ("--model", "good"),
        ("--model", "noise"),
        ("--model", "on_table"),
        ("--model", "formula"),
    ],
)
def test_what_is_right_holds(brought, option, name, tmp_path):
    status, claims = verdicts(brought, option, name, tmp_path)
    assert status == 0
    assert all(claim["passed"] for claim in claims.values())
    assert len(claims) == (6 if option == "--schedule" else 3)


@pytest.mark.parametrize(
    ("option", "name", "fallen"),
    [
        ("--schedule", "SignError", {"derivatives"}),
        ("--schedule", "Backwards", {"decreasing"}),
        ("--schedule", "WrongInverse", {"inverse"}),
        ("--model", "constant", {"prediction", "mean", "martingale"}),
        ("--model", "doubled", {"prediction"}),
        ("--model", "wrong_formula", {"prediction", "mean", "martingale"}),
        ("--model", "no_score", {"prediction", "mean", "martingale"}),
    ],
)
def test_what_is_wrong_is_caught_with_a_counterexample(brought, option, name, fallen, tmp_path):
    status, claims = verdicts(brought, option, name, tmp_path)
    assert status == 1
    caught = {key for key, claim in claims.items() if not claim["passed"]}
    assert fallen <= caught
    assert all(claims[key]["counterexample"] for key in caught)


def test_the_counterexample_is_small(brought, tmp_path):
    _, claims = verdicts(brought, "--model", "wrong_formula", tmp_path)
    assert "weights=(1.0,), means=((0.0,),)" in claims["mean"]["counterexample"]
    _, claims = verdicts(brought, "--schedule", "SignError", tmp_path)
    assert "t=0.5)" in claims["derivatives"]["counterexample"]


def test_the_last_line_says_what_was_tried(brought, capsys):
    main(["verify", "--schedule", f"{brought}:Flow", *EXAMPLES])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("6 of 6 claims hold; probability of a false alarm")
    assert "mutants" not in last


def test_a_schedule_that_does_not_decrease_is_tried_no_further(brought, tmp_path):
    _, claims = verdicts(brought, "--schedule", "Backwards", tmp_path)
    assert list(claims) == ["decreasing"]


@pytest.mark.parametrize(
    ("option", "reference", "says"),
    [
        ("--schedule", "{path}", "expected FILE.py:NAME"),
        ("--schedule", "{path}:", "expected FILE.py:NAME"),
        ("--schedule", "nowhere.py:Flow", "no file"),
        ("--schedule", "{path}:Nothing", "no Nothing"),
        ("--schedule", "{path}:mixture", "expected a Schedule"),
        ("--schedule", "{path}:Schedule", "cannot build"),
        ("--schedule", "{path}:Raises", "KeyError"),
        ("--model", "{path}:mixture", "expected a toy.brought.Model"),
        ("--model", "{path}:Flow", "expected a toy.brought.Model"),
        ("--model", "{path}:single", "expected a float64 tensor"),
        ("--model", "{path}:flat", "expected a float64 tensor"),
    ],
)
def test_what_cannot_be_tried_is_one_line(brought, option, reference, says):
    with pytest.raises(InputError, match=says) as error:
        main(["verify", option, reference.format(path=brought), *EXAMPLES])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["import nothing_of_that_name", "raise SystemExit(3)", "1 +"])
def test_a_file_that_cannot_be_run_is_one_line(tmp_path, text):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(InputError, match="cannot load") as error:
        load_schedule(f"{path}:Anything")
    assert "\n" not in str(error.value)


def test_both_at_once_are_refused(brought):
    with pytest.raises(InputError, match="not allowed with"):
        main(["verify", "--schedule", f"{brought}:Flow", "--model", f"{brought}:good"])


def test_the_kinds_of_model(brought):
    assert isinstance(load_model(f"{brought}:good"), Model)
    assert isinstance(load_model(f"{brought}:formula"), Formula)


@pytest.mark.parametrize(("name", "status"), [("Raises", 2), ("Backwards", 1)])
def test_exit_status_of_the_program(brought, name, status):
    command = ["-m", "toy", "verify", "--schedule", f"{brought}:{name}", *EXAMPLES]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert done.returncode == status
    assert done.stderr.count("\n") == (status == 2)
