"""``python -m toy verify --schedule`` and ``--model``: right ones hold, wrong ones are caught."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import strategies as st

from theory.diffusion.schedules import VPLinear
from theory.support.errors import InputError
from theory.support.user_code import load_object
from toy import Formula, Model
from toy.__main__ import main
from toy.falsifier import model_errors
from toy.falsifier.sweeps import SweptClaim, stratified
from toy.falsifier.validation import as_model
from toy.numerics.reported_errors import UnresolvedError

USER_FILE = '''
import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch

from theory.schedules import DiscreteSchedule, EDM, RectifiedFlow, Schedule, VPCosine, VPLinear
from theory.targets import DATA, EDM_RAW, NOISE, SCORE, VELOCITY, convert
from toy import Diffusion, GaussianMixture, Model


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


class OwnCosine(Schedule):
    t_min, t_max = 0.0, 0.999

    def alpha(self, t):
        return torch.cos(math.pi / 2 * t.double())

    def sigma(self, t):
        return torch.sqrt(1 - self.alpha(t) ** 2)

    def d_alpha(self, t):
        return -math.pi / 2 * torch.sin(math.pi / 2 * t.double())

    def d_sigma(self, t):
        return -self.alpha(t) * self.d_alpha(t) / self.sigma(t)

    def time_of(self, log_snr):
        return 2 / math.pi * torch.atan(torch.exp(-log_snr / 2))


class WrongDiffusion(RectifiedFlow):
    def diffusion_sq(self, t):
        return 1.001 * super().diffusion_sq(t)


class WrongSlope(RectifiedFlow):
    def d_log_snr(self, t):
        return super().d_log_snr(t) / 2


class WrongLogSnr(VPLinear):
    def log_snr(self, t):
        return super().log_snr(t) / 2


class TwiceTheVariance(VPLinear):
    def transition(self, s, t):
        a, v = super().transition(s, t)
        return a, 2 * v


class WrongTable(DiscreteSchedule):
    def diffusion_sq(self, t):
        return 1.1 * super().diffusion_sq(t)


class WrongForAWhile(VPLinear):
    def d_alpha(self, t):
        return torch.where((t > 0.4) & (t < 0.41), 1.1, 1.0) * super().d_alpha(t)


class Opaque(OwnCosine):
    def alpha(self, t):
        return torch.from_numpy(np.asarray(np.cos(math.pi / 2 * t.detach().double().numpy())))


class SinglePrecision(OwnCosine):
    def alpha(self, t):
        return super().alpha(t).float()


class SingleInside(OwnCosine):
    def alpha(self, t):
        return torch.cos(math.pi / 2 * t.float()).double()


class Endless(Schedule):
    t_max = 1.0
    alpha, sigma, time_of = OwnCosine.alpha, OwnCosine.sigma, OwnCosine.time_of
    d_alpha, d_sigma = OwnCosine.d_alpha, OwnCosine.d_sigma


@dataclass(frozen=True)
class Raises(EDM):
    def alpha(self, t):
        raise KeyError("one\\ntwo")


instance = VPLinear()
wrong_table = WrongTable([0.99, 0.7, 0.3, 0.01])
table = DiscreteSchedule([0.99, 0.7, 0.3, 0.01])
mixture = GaussianMixture.diagonal(
    torch.tensor([0.4, 0.6]), torch.tensor([[-1.0], [2.0]]), torch.tensor([0.3, 0.5])
)
diffusion = Diffusion(mixture, VPLinear())


def by_time(score, x_t, t):
    """score(x, time) of the rows of each time."""
    y = torch.empty_like(x_t)
    for time in t.unique().tolist():
        y[t == time] = score(x_t[t == time], time)
    return y


def exact(x_t, t):
    return by_time(lambda x, time: diffusion.marginal(time).score(x), x_t, t)


good = Model(exact, diffusion)
on_table = Model(
    lambda x, t: by_time(lambda x, u: Diffusion(mixture, table).marginal(u).score(x), x, t),
    Diffusion(mixture, table),
)
doubled = Model(lambda x, t: 2 * exact(x, t), diffusion)
single = Model(lambda x, t: exact(x, t).float(), diffusion)
flat = Model(lambda x, t: exact(x, t)[:, 0], diffusion)


def law(weights, means, variances):
    """A mixture from numbers."""
    return GaussianMixture.diagonal(*(torch.tensor(x).double() for x in (weights, means, variances)))


def own(data, schedule, target=SCORE, change=lambda y, x, t: y):
    """Its own code: the score in linear space by automatic differentiation, then converted."""

    def predict(x_t, t, condition=None):
        return by_time(at, x_t, t)

    def at(x_t, time):
        time, x = torch.tensor(time, dtype=torch.float64), x_t.clone().requires_grad_()
        alpha, sigma = schedule.alpha(time), schedule.sigma(time)
        spread = alpha**2 * data.covariances() + sigma**2 * torch.eye(data.dimension).double()
        z = x[:, None] - alpha * data.means
        squares = torch.einsum("nki,kij,nkj->nk", z, torch.linalg.inv(spread), z)
        density = torch.exp(data.log_weights - torch.logdet(spread) / 2 - squares / 2).sum(1)
        score = torch.autograd.grad(torch.log(density).sum(), x)[0]
        return change(convert(score, x_t, time, SCORE, target, schedule), x_t, time.item())

    return Model(predict, Diffusion(data, schedule), target)


plane = law([0.5, 0.5], [[0.0, 1.0], [2.0, -1.0]], [[1.0, 0.5], [0.3, 1.0]])
space = law([0.5, 0.5], [[0.0, 1.0, 0.0], [-1.0, 0.0, 0.5]], [[1.0, 0.5, 0.7], [0.4, 0.4, 0.4]])
hyper = law([0.5, 0.5], [[0.0, 1.0, 0.0, 0.0], [-1.0, 0.0, 0.5, 0.2]], [1.0, 0.5])
correlated = GaussianMixture.full(
    torch.ones(1).double(),
    torch.zeros(1, 2).double(),
    torch.tensor([[[1.0, 0.9999], [0.9999, 1.0]]]).double(),
)
in_plane, in_space, in_four = own(plane, VPLinear()), own(space, VPCosine()), own(hyper, VPLinear())
narrow = Model(
    lambda x, t: by_time(lambda x, u: Diffusion(correlated, EDM()).marginal(u).score(x), x, t),
    Diffusion(correlated, EDM()),
)
raw_output = own(mixture, EDM(), EDM_RAW)
far_apart = own(law([0.5, 0.5], [[-300.0], [300.0]], [0.01, 1.0]), EDM(), DATA)
tiny_weight = own(law([1e-12, 1.0], [[5.0], [0.0]], [0.01, 1.0]), OwnCosine(), NOISE)


def wrong(change, data=mixture, schedule=VPLinear(), target=SCORE):
    return own(data, schedule, target, change)


scaled = wrong(lambda y, x, t: 1.001 * y)
biased_denoiser = wrong(lambda y, x, t: y + 1e-6, schedule=EDM(), target=DATA)
opposite = wrong(lambda y, x, t: -y, schedule=RectifiedFlow(), target=VELOCITY)
without_alpha = wrong(lambda y, x, t: y * VPLinear().alpha(torch.tensor(t)))
in_places = wrong(lambda y, x, t: torch.where((x > 3) & (x < 3.2), 1.1, 1.0) * y)
far_out = wrong(lambda y, x, t: torch.where(x.abs() > 20, 1.1, 1.0) * y)
for_a_while = wrong(lambda y, x, t: y * (1.1 if 0.4 < t < 0.41 else 1.0))
at_the_end = wrong(lambda y, x, t: y * (1.1 if t > 0.999 else 1.0), schedule=VPCosine(t_max=0.9999))
scaled_space = wrong(lambda y, x, t: 1.001 * y, data=space)
scaled_four = wrong(lambda y, x, t: 1.001 * y, data=hyper)
turned = wrong(lambda y, x, t: y + 1e-4 * x.flip(1) * torch.tensor([1.0, -1.0]), data=plane)


def leaves(x_t, t):
    raise SystemExit(0)


def unchecked(kind, **parts):
    """What the type checker of the tests would refuse to make."""
    made = object.__new__(kind)
    for name, part in parts.items():
        object.__setattr__(made, name, part)
    return made


leaving = Model(leaves, diffusion)
of_a_number = unchecked(Model, predict=exact, diffusion=3, target=SCORE)
of_no_function = unchecked(Model, predict=3, diffusion=diffusion, target=SCORE)
of_a_word = unchecked(Model, predict=exact, diffusion=diffusion, target="score")
of_numbers = unchecked(
    Model, predict=exact, diffusion=unchecked(Diffusion, data=3, schedule=VPLinear()), target=SCORE
)
calls = itertools.count()
guessing = Model(lambda x, t: torch.full_like(x, next(calls)), diffusion)


def score(x_t, t):
    return formula(x_t, t, diffusion)


def predict(x_t, t, condition=None):
    return -score(x_t, t)


def any_diffusion(x_t, t, diffusion=None):
    return formula(x_t, t, diffusion)


def other_name(x_t, t, of):
    return formula(x_t, t, of)


def wrong_in_the_plane(x_t, t, diffusion):
    return formula(x_t, t, diffusion) * (1.0 if x_t.shape[1] < 2 else 1.001)


def formula(x_t, t, diffusion):
    return by_time(lambda x, time: diffusion.marginal(time).score(x), x_t, t)


def wrong_formula(x_t, t, diffusion):
    return formula(x_t, t, diffusion) + 0.01


def no_score(x_t, t, diffusion):
    return torch.full_like(x_t, torch.nan)
'''

EXAMPLES = ("--examples", "6", "--quiet")
OF_A_MODEL = {"prediction", "mean", "martingale"}
FAMILIES = {
    "decreasing", "derivatives", "log-snr", "inverse", "transitions", "conversion", "commutation",
    "martingale-2d", "components-1d", "posterior-mean-1d", "tower-1d", "translation-2d",
    "energy-1d", "eta", "loss-fall", "denoising-fall", "class-guided", "reverse-variance",
}  # fmt: skip


@pytest.fixture
def user_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(USER_FILE)
    return path


def loaded_model(reference):
    return as_model(load_object(reference), reference)


def verdicts(user_file, option, name, tmp_path):
    out = tmp_path / "verdicts.json"
    status = main(["verify", option, f"{user_file}:{name}", *EXAMPLES, "--json", str(out)])
    claims = json.loads(out.read_text())["claims"]
    return status, {claim["id"]: claim for claim in claims}


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--schedule", "Flow"),
        ("--schedule", "table"),
        ("--schedule", "OwnCosine"),
        ("--model", "good"),
        ("--model", "on_table"),
        ("--model", "formula"),
        ("--model", "in_plane"),
        ("--model", "in_space"),
        ("--model", "in_four"),
        ("--model", "narrow"),
        ("--model", "raw_output"),
        ("--model", "far_apart"),
        ("--model", "tiny_weight"),
    ],
)
def test_what_is_right_holds(user_file, option, name, tmp_path):
    status, claims = verdicts(user_file, option, name, tmp_path)
    assert status == 0
    assert all(claim["passed"] for claim in claims.values())
    assert set(claims) >= (FAMILIES if option == "--schedule" else OF_A_MODEL)


@pytest.mark.parametrize(
    ("option", "name", "fallen"),
    [
        ("--schedule", "SignError", {"derivatives"}),
        ("--schedule", "Backwards", {"decreasing"}),
        ("--schedule", "WrongInverse", {"inverse"}),
        ("--schedule", "WrongDiffusion", {"derivatives"}),
        ("--schedule", "WrongSlope", {"derivatives"}),
        ("--schedule", "WrongLogSnr", {"log-snr"}),
        ("--schedule", "TwiceTheVariance", {"transitions"}),
        ("--schedule", "wrong_table", {"derivatives"}),
        ("--schedule", "WrongForAWhile", {"derivatives"}),
        ("--model", "scaled", {"prediction"}),
        ("--model", "biased_denoiser", {"prediction", "mean"}),
        ("--model", "opposite", {"prediction"}),
        ("--model", "without_alpha", {"prediction", "martingale"}),
        ("--model", "scaled_space", {"prediction"}),
        ("--model", "scaled_four", {"prediction"}),
        ("--model", "wrong_in_the_plane", {"prediction"}),
        ("--model", "doubled", {"prediction"}),
        ("--model", "wrong_formula", {"prediction", "mean", "martingale"}),
        ("--model", "no_score", {"prediction", "mean", "martingale"}),
    ],
)
def test_what_is_wrong_is_caught_with_a_counterexample(user_file, option, name, fallen, tmp_path):
    status, claims = verdicts(user_file, option, name, tmp_path)
    assert status == 1
    caught = {key for key, claim in claims.items() if not claim["passed"]}
    assert fallen <= caught
    assert all(claims[key]["counterexample"] for key in caught)


def test_the_counterexample_is_small(user_file, tmp_path):
    _, claims = verdicts(user_file, "--model", "wrong_formula", tmp_path)
    assert "weights=(1.0,), means=((0.0,),)" in claims["mean"]["counterexample"]
    _, claims = verdicts(user_file, "--schedule", "SignError", tmp_path)
    assert "t=0.5)" in claims["derivatives"]["counterexample"]


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("in_places", r"Point\(s=[\d.]{1,7}, t=[\d.]{1,7}, x_t=\(3\.[01]\d{0,3},\)\)"),
        ("far_out", r"Point\(s=[\d.]{1,8}, t=[\d.]{1,8}, x_t=\(-?[2-9]\d\.\d,\)\)"),
        ("for_a_while", r"Point\(s=[\d.]{1,8}, t=0\.40\d{1,3}, x_t=\(-?\d+\.\d,\)\)"),
        ("at_the_end", r"Point\(s=0\.999\d, t=0\.999\d, x_t=\(-?\d+\.\d,\)\)"),
    ],
)
def test_what_is_wrong_in_few_places_is_told_by_one_of_them(user_file, tmp_path, name, pattern):
    status, claims = verdicts(user_file, "--model", name, tmp_path)
    assert status == 1
    assert re.fullmatch(pattern, claims["prediction"]["counterexample"])


def test_what_presupposes_what_fell_is_not_tried(user_file, tmp_path):
    _, claims = verdicts(user_file, "--schedule", "SignError", tmp_path)
    assert set(claims) == {"decreasing", "derivatives", "log-snr", "inverse", "transitions", "ends"}
    _, claims = verdicts(user_file, "--model", "scaled", tmp_path)
    assert set(claims) == {"decreasing", *OF_A_MODEL}


def test_a_rough_model_is_not_resolved_but_falls_where_it_is_wrong(user_file, tmp_path):
    _, claims = verdicts(user_file, "--model", "in_places", tmp_path)
    assert claims["mean"]["unresolved"] > 0
    assert claims["mean"]["counterexample"] == ""
    assert claims["prediction"]["unresolved"] == 0


def test_what_cannot_be_resolved_is_neither_held_nor_fallen(
    user_file, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(model_errors, "MOST", {1: 4})
    status, claims = verdicts(user_file, "--model", "good", tmp_path)
    assert status == 3
    assert claims["mean"]["open"]
    assert claims["martingale"]["open"]
    assert claims["prediction"]["passed"]
    assert "2 not resolved" in capsys.readouterr().out.splitlines()[-1]


def test_a_sum_that_is_wrong_for_the_exact_model_speaks_against_none(user_file, monkeypatch):
    model = loaded_model(f"{user_file}:good")
    point = model_errors.ModelPoint(model, 0.3, 0.6, torch.tensor([0.5], dtype=torch.float64))
    assert model_errors.model_mean_error(point) < 1e-12
    moved = model_errors.expectation
    monkeypatch.setattr(
        model_errors, "expectation",
        lambda law, h, **options: moved(replace(law, means=law.means + 0.1), h, **options),
    )  # fmt: skip
    with pytest.raises(UnresolvedError, match="exact model"):
        model_errors.model_mean_error(point)


def test_a_field_that_turns_is_not_conservative(user_file):
    points = [
        model_errors.ModelPoint(
            loaded_model(f"{user_file}:{name}"),
            0.5,
            0.5,
            torch.tensor([0.5, 0.3], dtype=torch.float64),
        )
        for name in ("in_plane", "turned")
    ]
    held, turned = map(model_errors.conservative_error, points)
    assert held < 1e-8
    assert turned > 1e-6


def test_a_schedule_that_does_not_decrease_is_tried_no_further(user_file, tmp_path):
    _, claims = verdicts(user_file, "--schedule", "Backwards", tmp_path)
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
        ("--schedule", "{path}:Opaque", "does not see through alpha"),
        ("--schedule", "{path}:SinglePrecision", "alpha: expected a float64 tensor"),
        ("--schedule", "{path}:Endless", "expected numbers t_min < t_max"),
        ("--model", "{path}:leaving", "SystemExit"),
        ("--model", "{path}:of_a_number", "expected a toy.Diffusion"),
        ("--model", "{path}:of_no_function", "expected a function predict, got 3"),
        ("--model", "{path}:of_a_word", "expected a theory.Target"),
        ("--model", "{path}:of_numbers", "expected the diffusion of a GaussianMixture"),
        ("--model", "{path}:guessing", "twice"),
        ("--model", "{path}:mixture", "expected a toy.Model"),
        ("--model", "{path}:Flow", "expected a toy.Model"),
        ("--model", "{path}:single", "expected a float64 tensor"),
        ("--model", "{path}:flat", "expected a float64 tensor"),
    ],
)
def test_what_cannot_be_tried_is_one_line(user_file, option, reference, says):
    with pytest.raises(InputError, match=says) as error:
        main(["verify", option, reference.format(path=user_file), *EXAMPLES])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["import nothing_of_that_name", "raise SystemExit(3)", "1 +"])
def test_a_file_that_cannot_be_run_is_one_line(tmp_path, text):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(InputError, match="cannot load") as error:
        main(["verify", "--schedule", f"{path}:Anything"])
    assert "\n" not in str(error.value)


def test_both_at_once_are_refused(user_file):
    with pytest.raises(InputError, match="not allowed with"):
        main(["verify", "--schedule", f"{user_file}:Flow", "--model", f"{user_file}:good"])


def test_the_kinds_of_model(user_file):
    assert isinstance(loaded_model(f"{user_file}:good"), Model)
    for name in ("formula", "any_diffusion", "other_name"):
        assert isinstance(loaded_model(f"{user_file}:{name}"), Formula)


def test_a_score_without_a_diffusion_is_that_of_its_file(user_file, tmp_path):
    x_t = torch.tensor([[0.5], [-3.0]], dtype=torch.float64)
    good, bare, negative = (loaded_model(f"{user_file}:{n}") for n in ("good", "score", "predict"))
    assert torch.equal(bare.at(x_t, 0.5), good.at(x_t, 0.5))
    assert torch.equal(negative.at(x_t, 0.5), -good.at(x_t, 0.5))
    assert isinstance(bare, Model)


@pytest.mark.parametrize(
    ("text", "got"),
    [("", "none"), ("other = Diffusion(mixture, VPLinear(5.0, 9.0))", "diffusion, other")],
)
def test_a_score_without_a_diffusion_needs_one_in_its_file(tmp_path, text, got):
    path = tmp_path / "mine.py"
    head = USER_FILE if text else "def formula(x_t, t, diffusion): return x_t"
    path.write_text(f"{head}\n{text}\ndef score(x_t, t): return x_t\n")
    with pytest.raises(InputError, match=f"expected one toy.Diffusion in the file.*got {got};"):
        loaded_model(f"{path}:score")


def test_exit_status_of_the_program(user_file):
    command = ["-m", "toy", "verify", "--schedule", f"{user_file}:Raises", *EXAMPLES]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_the_worst_failure_of_a_sweep_is_the_counterexample():
    swept = [(2.0, "mild"), (0.5, "within"), (5.0, "worst"), (3.0, "middling")]
    claim = SweptClaim(
        "swept",
        "0",
        "says",
        st.integers(),
        lambda case: 0.0,
        (),
        tolerance=1.0,
        sweep=lambda _: swept,
    )
    evidence = claim.uphold(5, 0)
    assert not evidence.passed and evidence.worst == 5.0
    assert evidence.counterexample == "'worst'"
    right = replace(claim, sweep=lambda _: swept[1:2]).uphold(5, 0)
    assert right.passed and right.worst == 0.5


def test_a_sweep_has_other_times_at_another_seed_and_the_ends_at_each():
    one, other = (stratified(VPLinear(), seed) for seed in (0, 1))
    assert one == stratified(VPLinear(), 0) == sorted(one)
    assert set(one) & set(other) == {one[0], one[-1]} == {VPLinear().t_min, VPLinear().t_max}
