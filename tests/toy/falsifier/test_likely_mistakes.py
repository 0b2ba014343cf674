"""Mistakes that people make in schedules and scores, each named by what it gives."""

import math
from dataclasses import replace

import pytest
import torch

from tests.toy.falsifier.written_files import loaded
from theory.diffusion.schedules import RectifiedFlow, VPCosine, VPLinear
from theory.diffusion.targets import DATA, NOISE, VELOCITY
from toy import Diffusion, GaussianMixture, Model
from toy.falsifier.inverse_mistakes import inverse_mistakes
from toy.falsifier.mistakes import FLOAT32, explaining
from toy.falsifier.model_errors import ModelPoint, error_among_others
from toy.falsifier.model_formulas import LINEAR
from toy.falsifier.model_mistakes import explain_model
from toy.falsifier.scales import held_squares
from toy.falsifier.schedule_functions import Compared
from toy.falsifier.schedule_mistakes import (
    OF_ANOTHER,
    STEPS,
    STILL,
    _likely_mistake,
    explain_rise,
    explain_schedule,
)
from toy.falsifier.slope_mistakes import OTHERS, difference_quotient, other_slopes
from toy.falsifier.validation import as_schedule
from toy.falsifier.where import clipped_at, is_linear, one_sided, some_coordinates
from toy.strategies.time_pairs import TimePair

HEAD = """
import math
import torch
from theory.schedules import Schedule, VPCosine, VPLinear

class Mine(VPCosine):
    t_min, t_max = 0.01, 0.99
    offset = 0.0
"""


def schedule(tmp_path, *lines):
    """A cosine schedule, but for these lines of its body."""
    body = "".join(f"    {line}\n" for line in lines)
    text = f"{HEAD}{body}mine = Mine(offset=0.0, t_min=0.01, t_max=0.99)\n"
    return as_schedule(loaded(tmp_path, text, "mine"), "mine")


def slope_by(step, low, high):
    return (f"d_sigma = lambda self, t: (self.sigma(t + {high}) - self.sigma(t - {low})) / {step}",)


BODY = "VPCosine.{}(VPCosine(0.0), {})"
OWN = f"lambda self, t: {BODY}"
SCHEDULES = {
    "right": ((), None, ""),
    "forward": (slope_by(1e-3, 0, 1e-3), "d_sigma", "a forward difference with step 0.001"),
    "backward": (slope_by(1e-5, 1e-5, 0), "d_sigma", "a backward difference with step 1e-05"),
    "central": (slope_by(2e-3, 1e-3, 1e-3), "d_sigma", "a central difference with step 0.001"),
    "inner derivative": (
        ("d_alpha = lambda self, t: VPCosine.d_alpha(self, t) * 2 / math.pi",),
        "d_alpha", "pi/2, the inner derivative",
    ),
    "some factor": (
        ("d_alpha = lambda self, t: 0.77 * VPCosine.d_alpha(self, t)",),
        "d_alpha", "everywhere 0.77 times what it should be: the inner derivative (chain rule)?",
    ),
    "of another": (
        ("d_alpha = lambda self, t: VPLinear.d_alpha(VPLinear(), t)",),
        "d_alpha", "another schedule: the d_alpha of VPLinear()",
    ),
    "both of another": (
        (
            "d_alpha = lambda self, t: t * VPCosine.d_alpha(self, t)",
            "d_sigma = lambda self, t: t * VPCosine.d_sigma(self, t)",
        ),
        "d_alpha", OF_ANOTHER,
    ),
    "sigma of preserved variance": (
        ("sigma = lambda self, t: 1 - self.alpha(t)", "d_sigma = " + OWN.format("d_sigma", "t")),
        "d_sigma", "the slope of sqrt(1 - alpha^2), which sigma(t) is not",
    ),
    "time in thousandths": (
        ("time_of = lambda self, log_snr: VPCosine.time_of(self, log_snr) / 1000",),
        "log_snr(time_of", "time_of is everywhere 0.001 times",
    ),
    "time clamped": (
        ("time_of = lambda self, log_snr: VPCosine.time_of(self, log_snr).clamp(0.3, 0.8)",),
        "log_snr(time_of", "time_of never leaves 0.3 to 0.8: a clamp",
    ),
    "alpha squared": (
        (
            "alpha = lambda self, t: VPCosine.alpha(self, t) ** 2",
            "sigma = " + OWN.format("sigma", "t"),
            "d_alpha = lambda self, t: 2 * VPCosine.alpha(self, t) * " + BODY.format("d_alpha", "t"),
            "d_sigma = " + OWN.format("d_sigma", "t"),
        ),
        "log_snr(time_of", "time_of takes alpha(t) for alpha^2",
    ),
    "slope of preserved variance": (
        (
            "sigma = lambda self, t: 1 - self.alpha(t) ** 2",
            "d_sigma = lambda self, t: -self.alpha(t) * self.d_alpha(t) / self.sigma(t)",
        ),
        "d_sigma", "that of a schedule that preserves variance",
    ),
    "noise of preserved variance": (
        (
            "sigma = lambda self, t: 1 - self.alpha(t) ** 2",
            "d_sigma = lambda self, t: -2 * self.alpha(t) * self.d_alpha(t)",
            "diffusion_sq = lambda self, t: -2 * self.d_alpha(t) / self.alpha(t)",
        ),
        "diffusion_sq", "that of a schedule that preserves variance",
    ),
    "guard": (
        ("d_sigma = lambda self, t: -self.alpha(t) * self.d_alpha(t) / (self.sigma(t) + 1e-4)",),
        "d_sigma", "a guard: 0.0001 is added to sigma in a divisor",
    ),
    "over the other scale": (
        ("drift = lambda self, t: self.d_alpha(t) / self.sigma(t)",),
        "drift", "it is alpha'/sigma, where alpha'/alpha is right",
    ),
    "sign of a term": (
        (
            "d_log_snr = lambda self, t: "
            "2 * (self.d_alpha(t) / self.alpha(t) + self.d_sigma(t) / self.sigma(t))",
        ),
        "d_log_snr", "the sign of the term of sigma",
    ),
    "decibels": (
        ("log_snr = lambda self, t: 10 / math.log(10) * VPCosine.log_snr(VPCosine(0.0), t)",),
        "log_snr", "decibels for log",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_mistake_in_a_schedule(tmp_path, name):
    lines, quantity, mistake = SCHEDULES[name]
    mine = schedule(tmp_path, *lines)
    found = explain_schedule(mine, TimePair(mine, 0.2, 0.85))
    if quantity is None:
        assert found == () and held_squares(mine) == ""
        return
    assert found[0].quantity.startswith(quantity) and mistake in found[0].mistake


def test_an_inverse_says_which_time_it_gives(tmp_path):
    squared = "time_of = lambda self, log_snr: VPCosine.time_of(self, log_snr) ** 2"
    mine = schedule(tmp_path, squared)
    (found,) = explain_schedule(mine, TimePair(mine, 0.2, 0.9))
    assert (found.mistake, found.where) == (
        "time_of gives t^2 for t",
        "time_of gives 0.81 in place of 0.9",
    )


def test_a_mistake_that_does_not_show_at_the_counterexample_is_found_elsewhere(tmp_path):
    """Where the log-SNR is zero, decibels are right, and the inverse would be blamed for them."""
    lines = SCHEDULES["decibels"][0]
    mine = schedule(tmp_path, *lines)
    first, *_ = explain_schedule(mine, TimePair(mine, 0.5, 0.5))
    assert first.quantity == "log_snr" and first.t != 0.5
    assert first.got / first.expected == pytest.approx(10 / math.log(10))


def test_a_slope_that_is_wrong_on_one_side_says_where(tmp_path):
    floored = "d_sigma = lambda self, t: VPCosine.d_sigma(self, t).clamp(min=0.5)"
    mine = schedule(tmp_path, floored)
    (found,) = explain_schedule(mine, TimePair(mine, 0.2, 0.95))
    assert found.mistake == ""
    assert found.where.startswith("right where t is at most 0.") and "wrong from" in found.where


@pytest.mark.parametrize(
    ("moved", "times", "why"),
    [
        ("t.clamp(0.3, 0.7)", (0.1, 0.1 + 1e-8), STILL),
        ("(4 * t).floor() / 4 + 0.1", (0.3, 0.4), STILL),
        ("t.float().double()", (0.5 + 1e-10, 0.5 + 2e-10), STEPS),
    ],
)
def test_a_log_snr_that_stands_still(tmp_path, moved, times, why):
    scales = [
        f"{name} = lambda self, t: VPCosine.{name}(self, {moved})" for name in ("alpha", "sigma")
    ]
    mine = schedule(tmp_path, *scales)
    (found,) = explain_rise(TimePair(mine, *times))
    assert (found.mistake, found.relation) == (why, "less than")
    assert f"expected less than {found.expected:.10g}, got" in next(iter(found.lines()))


def test_scales_that_hold_squares():
    class Squared(VPLinear):
        def alpha(self, t):
            return super().alpha(t) ** 2

    class Variance(VPLinear):
        def sigma(self, t):
            return super().sigma(t) ** 2

    assert held_squares(Squared()).startswith("alpha(t) holds alpha^2")
    assert held_squares(Variance()).startswith("sigma(t) holds sigma^2")
    assert [held_squares(right) for right in (VPLinear(), VPCosine(), RectifiedFlow())] == [""] * 3


def test_a_right_inverse_has_no_mistake_and_a_difference_quotient_is_no_derivative():
    mine = VPCosine()
    t = torch.linspace(0.1, 0.9, 7, dtype=torch.float64)
    wrong = inverse_mistakes(mine, t, mine.time_of(mine.log_snr(t)))
    assert all(values.isnan().all() for name, values in wrong.items() if "sqrt(1 -" not in name)
    wrong = inverse_mistakes(mine, t, mine.t_max - t)
    known = [name for name, values in wrong.items() if values.isfinite().all()]
    assert known == ["time_of gives t_min + t_max - t"]
    slope = mine.d_sigma(t)
    assert difference_quotient(mine.sigma, mine, t, slope, slope) == ""
    assert difference_quotient(mine.sigma, mine, t, 1.1 * slope, slope) == ""


W = torch.tensor([0.4, 0.6], dtype=torch.float64)
M = torch.tensor([[-1.0, 0.5], [1.5, -0.25]], dtype=torch.float64)
V = torch.tensor([[0.09, 0.25], [0.16, 0.36]], dtype=torch.float64)
MINE = Diffusion(GaussianMixture.diagonal(W, M, V), VPCosine())


def parts(t):
    a, s = MINE.schedule.alpha(t)[:, None, None], MINE.schedule.sigma(t)[:, None, None]
    return a, s


def score(x, t, m=M, v=V, power=1.0, scales=None, probabilities=None, divided=True, root=1.0):
    a, s = parts(t) if scales is None else scales
    c, d = a**2 * v + s**2, x[:, None] - a**power * m
    logs = W.log() - (d**2 / c + c.log()).sum(-1) / 2
    r = torch.softmax(logs, 1) if probabilities is None else probabilities(logs)
    return -(r[..., None] * (d / c**root if divided else d * c)).sum(1)


def in_terms(x, t, sign=1.0, gain=1.0):
    """The velocity from its terms, with a sign of the noise and a power of alpha in the mean."""
    a, s = parts(t)
    c, d = a**2 * V + s**2, x[:, None] - a * M
    r = torch.softmax(W.log() - (d**2 / c + c.log()).sum(-1) / 2, 1)[..., None]
    data = (r * (M + a**gain * V * d / c)).sum(1)
    noise = (r * s * d / c).sum(1)
    return a[:, 0] * sign * noise - s[:, 0] * data


def later(x, t):
    a, _ = parts(t)
    _, s = parts(1 - t)
    return score(x, t, scales=(a, s))


def clip_norm(y):
    return y * (3 / y.norm(dim=1, keepdim=True)).clamp(max=1)


def mean(x, t):
    a, s = parts(t)
    return (x + s[:, 0] ** 2 * score(x, t)) / a[:, 0]


def of_data(x, t, power, of_sigma):
    """The noise from the data, with a power of alpha, and over 1 - alpha in place of sigma."""
    a, s = (scale[:, 0] for scale in parts(t))
    return (x - a**power * mean(x, t)) / (s if of_sigma else 1 - a)


def of_noise(x, t, of_sigma, of_alpha, sign=1):
    """The data from the noise, with powers of sigma and alpha."""
    a, s = (scale[:, 0] for scale in parts(t))
    return (x + sign * s**of_sigma * s * score(x, t)) / a**of_alpha


MODELS = {
    "weights that add up to more": (
        lambda x, t: score(x, t, probabilities=torch.exp), "divided by their sum",
    ),
    "alpha twice": (lambda x, t: score(x, t, power=2.0), "alpha twice: in the means"),
    "variance of one": (lambda x, t: score(x, t, v=V[:, :1].expand(2, 2)), "variance of coordinate 0 in all"),
    "law of the data": (
        lambda x, t: score(x, t, scales=(torch.ones_like(t)[:, None, None], 0 * t[:, None, None])),
        "missing noise: the law of x_0",
    ),
    "sum": (lambda x, t: score(x, t).sum(1, keepdim=True).expand(-1, 2), "the sum of all in each"),
    "mean": (lambda x, t: score(x, t).mean(1, keepdim=True).expand(-1, 2), "the mean of all in each"),
    "times variance": (lambda x, t: score(x, t, divided=False), "times their variance"),
    "other means": (lambda x, t: score(x, t, m=M.flip(1)), "means: their coordinates the other way round"),
    "other schedule": (
        lambda x, t: score(
            x, t, scales=[f(t)[:, None, None] for f in (VPLinear().alpha, VPLinear().sigma)]
        ),
        "another schedule: the alpha and sigma of VPLinear()",
    ),
    "weights without logarithm": (
        lambda x, t: score(x, t, probabilities=lambda logs: torch.softmax(logs - W.log() + W, 1)),
        "components: their weights in place of the logarithms",
    ),
    "deviations": (lambda x, t: score(x, t, root=0.5), "divided by the Cholesky factor"),
    "jitter": (
        lambda x, t: score(x, t, scales=(parts(t)[0], (parts(t)[1] ** 2 + 1e-3).sqrt())),
        "a guard: 0.001 is added to the variance of x_t",
    ),
    "guard": (
        lambda x, t: score(x, t) * (parts(t)[1] / (parts(t)[1] + 1e-2))[:, 0],
        "a guard: 0.01 is added to sigma in a divisor",
    ),
    "guard of the variance": (
        lambda x, t: score(x, t) * (parts(t)[1] ** 2 / (parts(t)[1] ** 2 + 1e-2))[:, 0],
        "a guard: 0.01 is added to sigma^2 in a divisor",
    ),
    "probabilities without noise": (
        lambda x, t: score(x, t, probabilities=lambda logs: MINE.data.responsibilities(x)),
        "the law of x_0, in the probabilities of the components alone",
    ),
    "cut time": (lambda x, t: score(x, (t * 100).floor() / 100), "rounded down to a whole number of 1/100"),
    "powers": (
        lambda x, t: -score(x, t) * (parts(t)[0] ** 2 / parts(t)[1])[:, 0],
        "it is alpha^2 E[e|x_t]/sigma^2, where -E[e|x_t]/sigma is right",
    ),
    "backwards": (lambda x, t: score(x, 0.9946 - t), "time: backwards, at t_min + t_max - t"),
    "sigma of another time": (later, "sigma alone: time: backwards, at 1 - t"),
    "rounded time": (lambda x, t: score(x, (t * 100).round() / 100), "rounded to a whole number of 1/100"),
    "two at once": (lambda x, t: -2 * score(x, t, power=0.0) / 2, "two mistakes: missing alpha"),
    "one Gaussian": (lambda x, t: -x / (parts(t)[0] + parts(t)[1] ** 3 + 1)[:, 0], LINEAR),
    "a constant": (
        lambda x, t: score(x, t) + 1e-7,
        "everywhere +1e-07 to coordinate 0, +1e-07 to coordinate 1 is added",
    ),
    "one constant": (
        lambda x, t: score(x, t) + torch.tensor([0, 1e-3]).double(),
        "everywhere +0.001 to coordinate 1 is added",
    ),
    "clipped norm": (lambda x, t: clip_norm(score(x, t)), "the score is clipped: its norm stands at 3"),
    "single": (lambda x, t: score(x, t, m=M.float()).float().double(), FLOAT32),
}  # fmt: skip


def explained(predict, target=None, x=(0.4, 0.3), t=0.35):
    made = Model(
        lambda x_t, t, c=None: predict(x_t, t), MINE, *([] if target is None else [target])
    )
    return explain_model(ModelPoint(made, 0.15, t, torch.tensor(x, dtype=torch.float64)))


@pytest.mark.parametrize("name", MODELS)
def test_a_mistake_in_a_score(name):
    predict, mistake = MODELS[name]
    (found,) = explained(predict, t=0.354)
    assert mistake in found.mistake


@pytest.mark.parametrize(
    ("predict", "target", "mistake"),
    [
        (lambda x, t: in_terms(x, t), VELOCITY, None),
        (lambda x, t: in_terms(x, t, sign=-1.0), VELOCITY, "terms: the sign of the noise"),
        (lambda x, t: in_terms(x, t, gain=0.0), VELOCITY, "missing alpha: in the gain of x_0"),
        (
            lambda x, t: mean(x, t).clamp(-0.8, 0.8), DATA,
            "the data is clipped: each coordinate stands at +-0.8",
        ),
        (lambda x, t: -parts(t)[1][:, 0] * score(x, t), NOISE, None),
        (lambda x, t: of_data(x, t, 0, 1), NOISE, "missing alpha: in (x_t - alpha x_0)/sigma"),
        (lambda x, t: of_data(x, t, 2, 1), NOISE, "alpha^2 for alpha: in (x_t - alpha x_0)/sigma"),
        (lambda x, t: of_data(x, t, 1, 0), NOISE, "1 - alpha for sigma: in (x_t - alpha x_0)/sigma"),
        (lambda x, t: of_noise(x, t, 2, 1), DATA, "sigma^2 for sigma: in (x_t - sigma e)/alpha"),
        (lambda x, t: of_noise(x, t, 0, 1), DATA, "missing sigma: in (x_t - sigma e)/alpha"),
        (lambda x, t: of_noise(x, t, 1, 0), DATA, "one alpha too many"),
        (lambda x, t: of_noise(x, t, 1, 2), DATA, "one alpha too few"),
        (lambda x, t: of_noise(x, t, 1, 1, -1), DATA, "the sign of sigma: in (x_t - sigma e)/alpha"),
    ],
)  # fmt: skip
def test_a_mistake_in_another_target(predict, target, mistake):
    found = explained(predict, target)
    assert (found == ()) if mistake is None else mistake in found[0].mistake


def test_predictions_that_are_infinite_anyway_do_not_depend_on_others():
    early = Model(lambda x, t, c=None: torch.where(t[:, None] < 0.5, math.inf, score(x, t)), MINE)
    assert error_among_others(early)[0] < 1e-12
    mixed = Model(lambda x, t, c=None: torch.where(t[:1] < 0.5, math.inf, score(x, t)), MINE)
    assert error_among_others(mixed)[0] > 1e300


def test_a_clamped_input_is_wrong_far_away():
    (found,) = explained(lambda x, t: score(x.clamp(-2, 2), t), x=(2.5, 0.3))
    assert found.mistake == ""
    assert found.where.startswith("right where the largest |x_t| is at most 1.")
    assert "wrong from 2." in found.where


def test_parts():
    places, wrong = torch.tensor([3.0, 1, 2, 5, 4, 6]), torch.tensor([0, 0, 0, 1, 1, 1]).bool()
    assert one_sided("n", places, wrong) == "right where n is at most 3, wrong from 4 on"
    assert one_sided("n", places, ~wrong) == "wrong where n is at most 3, right from 4 on"
    assert one_sided("n", places, torch.tensor([0, 1, 0, 1, 1, 1]).bool()) == ""
    assert one_sided("n", places, torch.tensor([0, 0, 0, 0, 0, 1]).bool()) == ""
    assert one_sided("n", places[[0, 0, 0, 0, 0, 0]], wrong) == ""
    wrong = torch.tensor([[0, 1, 1], [0, 1, 0]]).bool()
    assert some_coordinates(wrong) == "wrong in coordinate 1, 2 (from 0), right in the others"
    assert (
        some_coordinates(torch.ones(2, 3).bool())
        == some_coordinates(torch.zeros(2, 3).bool())
        == ""
    )
    got, right = torch.tensor([[1.0], [-1], [1], [0.5]]), torch.tensor([[2.0], [-3], [4], [0.5]])
    wrong = got != right
    assert clipped_at(got, right, wrong).startswith("each coordinate stands at +-1 where")
    assert clipped_at(got, right / 10, wrong) == clipped_at(got * right, right, wrong) == ""
    assert clipped_at(got[:2], right[:2], wrong[:2]) == ""
    spread = torch.tensor([[0.0], [1], [-1], [2]], dtype=torch.float64)
    all_wrong = torch.ones(4, 1, dtype=torch.bool)
    assert clipped_at(1 + 1e-4 * spread, 2 + 0 * spread, all_wrong) == ""
    assert clipped_at(1 + 1e-8 * spread, 2 + 0 * spread, all_wrong).startswith("each coordinate")
    x = torch.tensor([[0.0], [1], [3]], dtype=torch.float64)
    assert is_linear(x, 2 * x + 1, 1e-9) and not is_linear(x, x**2, 1e-9)
    assert not is_linear(x, x / 0, 1e-9)


def test_a_mistake_of_which_little_is_known_is_not_named():
    got = torch.arange(1.0, 9.0)
    half, third = got.clone(), got.clone()
    half[:4], third[:5] = math.nan, math.nan
    assert explaining(got, {"third": third, "half": half}) == "half"
    assert (
        explaining(got, {"none": got + math.nan}) == explaining(got[:0], {"empty": got[:0]}) == ""
    )


def test_other_schedules_bear_their_own_names():
    t = torch.linspace(0.2, 0.8, 7, dtype=torch.float64)
    for name, other in OTHERS.items():
        if name.endswith("()"):
            assert name == f"{type(other).__name__}()"
        slopes = other_slopes("d_sigma", t)[f"another schedule: the d_sigma of {name}"]
        assert torch.equal(slopes, other.d_sigma(t))


def test_a_value_that_is_next_to_nothing_is_not_held_against_a_mistake():
    """Twice what is right, but for a trillionth of the largest value, which is rounding."""
    t, expected = (
        torch.linspace(0.2, 0.8, 4).double(),
        torch.tensor([1.0, 0.5, 0.25, 1e-12]).double(),
    )
    got, least = torch.tensor([2.0, 1.0, 0.5, 5e-12]).double(), torch.full((4,), 1e-16).double()
    found = Compared("alpha", t, got, expected, least, {"doubled": 2 * expected}, {})
    assert _likely_mistake(found, VPLinear(), 0) == "doubled"
    assert _likely_mistake(replace(found, got=got + 1e-3), VPLinear(), 0) != "doubled"
