"""What falls is explained: which quantity, when, by how much, and the likely mistake."""

import math
import re
from dataclasses import replace
from functools import partial

import pytest
import torch

from tests.toy.falsifier.written_files import loaded
from theory.diffusion.schedules import VPLinear
from toy.claims.table import ALL
from toy.falsifier import model_mistakes
from toy.falsifier.falsify import falsify, model_stages, schedule_stages
from toy.falsifier.mistakes import FLOAT32, holds_float32, is_rounding
from toy.falsifier.model_errors import ModelPoint
from toy.falsifier.model_mistakes import AMONG_OTHERS, explain_model, likely_mistake
from toy.falsifier.schedule_claims import decreasing_error
from toy.falsifier.schedule_mistakes import BACKWARDS, explain_rise, explain_schedule
from toy.falsifier.validation import as_model, as_schedule
from toy.judge.evidence import Explanation
from toy.judge.verdicts import NotTried, Verdict, report_lines
from toy.strategies.time_pairs import TimePair

SCHEDULES = """
import torch

from theory.schedules import DiscreteSchedule, EDM, RectifiedFlow, Schedule, VPCosine, VPLinear


class Right(VPLinear):
    pass


class RightFlow(RectifiedFlow):
    pass


class SlopeSign(VPLinear):
    def d_log_snr(self, t):
        return -super().d_log_snr(t)


class NoiseSign(VPLinear):
    def diffusion_sq(self, t):
        return self.sigma(t) ** 2 * self.d_log_snr(t)


class LogSnrSign(VPLinear):
    def log_snr(self, t):
        return 2 * (torch.log(self.sigma(t)) - torch.log(self.alpha(t)))


class SigmaInLogSnr(VPLinear):
    def log_snr(self, t):
        return torch.log(self.alpha(t) ** 2 / self.sigma(t))


class RatioNotSquared(VPLinear):
    def log_snr(self, t):
        return torch.log(self.alpha(t) / self.sigma(t))


class SigmaInNoise(VPLinear):
    def diffusion_sq(self, t):
        return -self.sigma(t) * self.d_log_snr(t)


class VarianceForSigma(VPLinear):
    def sigma(self, t):
        return 1 - self.alpha(t) ** 2

    def d_sigma(self, t):
        return -self.alpha(t) * self.d_alpha(t) / torch.sqrt(1 - self.alpha(t) ** 2)

    def log_snr(self, t):
        return 2 * (torch.log(self.alpha(t)) - torch.log(self.sigma(t)))


class NoAlphaInDrift(VPCosine):
    def drift(self, t):
        return self.d_alpha(t)


class NoAlphaInSlope(VPCosine):
    def d_log_snr(self, t):
        return -2 * self.d_sigma(t) / self.sigma(t)


class HalfTheSlope(VPLinear):
    def d_log_snr(self, t):
        return super().d_log_snr(t) / 2


class TwiceTheNoise(VPLinear):
    def diffusion_sq(self, t):
        return 2 * super().diffusion_sq(t)


class NoiseNotSquared(VPLinear):
    def diffusion_sq(self, t):
        return super().diffusion_sq(t).sqrt()


class HalfInverse(VPLinear):
    def time_of(self, log_snr):
        return super().time_of(2 * log_snr)


class InverseSign(EDM):
    def time_of(self, log_snr):
        return torch.exp(log_snr / 2)


class DeviationOfStep(VPLinear):
    def transition(self, s, t):
        a, v = super().transition(s, t)
        return a, v.sqrt()


class NoAlphaInStep(VPLinear):
    def transition(self, s, t):
        return super().transition(s, t)[0], self.sigma(t) ** 2 - self.sigma(s) ** 2


class SingleSlope(VPCosine):
    def d_alpha(self, t):
        return super().d_alpha(t).float().double()


class SingleInside(Schedule):
    t_min, t_max = 0.0, 0.999

    def alpha(self, t):
        return torch.cos(torch.pi / 2 * t.float()).double()

    def sigma(self, t):
        return torch.sqrt(1 - self.alpha(t) ** 2)

    def d_alpha(self, t):
        return -torch.pi / 2 * torch.sin(torch.pi / 2 * t.double())

    def d_sigma(self, t):
        return -self.alpha(t) * self.d_alpha(t) / self.sigma(t)

    def time_of(self, log_snr):
        return 2 / torch.pi * torch.atan(torch.exp(-log_snr / 2))


class Backwards(RectifiedFlow):
    def alpha(self, t):
        return t.double()

    def sigma(self, t):
        return 1 - t.double()


class Negative(RectifiedFlow):
    def sigma(self, t):
        return t.double() - 0.5


class Rough(VPLinear):
    def alpha(self, t):
        return super().alpha(t) * torch.exp(-0.1 * (t.double() - 0.3).relu() ** 2)


table = DiscreteSchedule([0.99, 0.7, 0.3, 0.01])


class OnlyForAWhile(VPLinear):
    def d_alpha(self, t):
        return torch.where((t > 0.4) & (t < 0.41), 1.1, 1.0) * super().d_alpha(t)
"""

MODELS = '''
import torch

from theory.schedules import EDM, VPLinear
from theory.targets import DATA, NOISE, SCORE, VELOCITY
from toy import Diffusion, GaussianMixture, Model

means, variances = torch.tensor([[-1.0], [2.0]]), torch.tensor([0.3, 0.5])
data = GaussianMixture.diagonal(torch.tensor([0.4, 0.6]), means, variances)
plane = GaussianMixture.diagonal(
    torch.tensor([0.5, 0.5]), torch.tensor([[0.0, 1.0], [2.0, -1.0]]), torch.tensor([0.5, 1.0])
)


def model(change, law=data, schedule=VPLinear(), target=SCORE):
    """A model whose prediction is changed: change(exact, x_t, alpha, sigma, law, schedule)."""
    diffusion = Diffusion(law, schedule)

    def predict(x_t, t, condition=None):
        y = torch.empty_like(x_t)
        for time in t.unique():
            x = x_t[t == time]
            alpha, sigma = schedule.alpha(time), schedule.sigma(time)
            e, x_0 = -sigma * diffusion.score(x, time.item()), diffusion.posterior_mean(x, time.item())
            a, b = target.coefficients(schedule, time)
            y[t == time] = change(a * x_0 + b * e, x, alpha, sigma)
        return y

    return Model(predict, diffusion, target)


def marginal(mean, variance, noise, law=data):
    """The score of a Gaussian mixture that is marginalized wrongly."""

    def change(y, x, alpha, sigma):
        scales = mean(alpha, sigma), variance(alpha, sigma), noise(alpha, sigma)
        wrong = GaussianMixture.diagonal(
            torch.exp(law.log_weights), scales[0] * law.means, scales[1] * law.variances + scales[2]
        )
        return wrong.score(x)

    return model(change, law)


right = model(lambda y, x, alpha, sigma: y)
right_plane = model(lambda y, x, alpha, sigma: y, plane, target=NOISE)
right_data = model(lambda y, x, alpha, sigma: y, schedule=EDM(), target=DATA)
right_score = marginal(lambda a, s: a, lambda a, s: a**2, lambda a, s: s**2)
sign = model(lambda y, x, alpha, sigma: -y)
sign_of_noise = model(lambda y, x, alpha, sigma: -y, plane, target=NOISE)
twice = model(lambda y, x, alpha, sigma: 2 * y, target=VELOCITY)
half = model(lambda y, x, alpha, sigma: y / 2, schedule=EDM(), target=DATA)
over_sigma = model(lambda y, x, alpha, sigma: y * sigma)
noise_variance = marginal(lambda a, s: a, lambda a, s: a**2, lambda a, s: s)
unscaled_means = marginal(lambda a, s: 1.0, lambda a, s: a**2, lambda a, s: s**2)
unscaled_variances = marginal(lambda a, s: a, lambda a, s: 1.0, lambda a, s: s**2)
times_alpha = model(lambda y, x, alpha, sigma: y * alpha)
noise = model(lambda y, x, alpha, sigma: -sigma * y)
arithmetic = model(lambda y, x, alpha, sigma: y.float().double(), plane)
shifted = model(lambda y, x, alpha, sigma: y + 0.01)
slightly = model(lambda y, x, alpha, sigma: y * (1 + 1e-4))
in_places_of_edm = model(
    lambda y, x, alpha, sigma: torch.where((x > 3.09) & (x < 3.11), 1.1, 1.0) * y, schedule=EDM()
)
slightly_in_places = model(lambda y, x, alpha, sigma: y * (1 + 1e-7 * (x > 3) * (x < 3.2)))
in_places = model(lambda y, x, alpha, sigma: torch.where((x > 3) & (x < 3.2), 1.1, 1.0) * y)


class Network(torch.nn.Module):
    """A right score with float32 weights."""

    def __init__(self):
        super().__init__()
        self.mean = torch.nn.Parameter(torch.tensor([3.3]))
        self.variance = torch.nn.Parameter(torch.tensor([0.7]))

    def forward(self, x_t, t, condition=None):
        alpha, sigma = VPLinear().alpha(t)[:, None], VPLinear().sigma(t)[:, None]
        spread = alpha**2 * self.variance.double() + sigma**2
        return -(x_t - alpha * self.mean.double()) / spread


one = GaussianMixture.diagonal(
    *(torch.tensor(v, dtype=torch.float64) for v in ([1.0], [[3.3]], [0.7]))
)
weights = Model(Network(), Diffusion(one, VPLinear()))
weights_in_double = Model(
    Network().double().requires_grad_(False), Diffusion(
        GaussianMixture.diagonal(*(torch.tensor(v) for v in ([1.0], [[3.3]], [0.7]))), VPLinear()
    )
)


def score(x_t, t, diffusion):
    y = torch.empty_like(x_t)
    for time in t.unique().tolist():
        y[t == time] = diffusion.score(x_t[t == time], time)
    return y


def negative_score(x_t, t, diffusion):
    return -score(x_t, t, diffusion)
'''


def found_of(stages):
    """Everything that is found, up to the first claim that falls."""
    found = []
    for one in falsify(stages, 4, 0):
        found.append(one)
        if isinstance(one, Verdict) and one.evidence.counterexample:
            return found
    return found


def of_schedule(tmp_path, name):
    return schedule_stages(as_schedule(loaded(tmp_path, SCHEDULES, name), name))


def of_model(tmp_path, name):
    return model_stages(as_model(loaded(tmp_path, MODELS, name), name))


@pytest.mark.parametrize(
    ("name", "quantity", "mistake", "ratio"),
    [
        ("SlopeSign", "d_log_snr", "the sign of d log-SNR", -1),
        ("NoiseSign", "diffusion_sq", "the sign of d log-SNR", -1),
        ("LogSnrSign", "log_snr", "the sign of log-SNR", -1),
        ("SigmaInLogSnr", "log_snr", "sigma for sigma^2: log(alpha^2/sigma)", None),
        ("RatioNotSquared", "log_snr", "half a log-SNR: log(alpha/sigma)", 0.5),
        ("SigmaInNoise", "diffusion_sq", "sigma for sigma^2", None),
        ("VarianceForSigma", "d_sigma", "sigma(t) holds sigma^2", None),
        ("NoAlphaInDrift", "drift", "missing alpha", None),
        ("NoAlphaInSlope", "d_log_snr", "missing alpha", None),
        ("HalfTheSlope", "d_log_snr", "factor 2", 0.5),
        ("TwiceTheNoise", "diffusion_sq", "factor 2: twice", 2),
        ("NoiseNotSquared", "diffusion_sq", "g for g^2", None),
        ("HalfInverse", "log_snr(time_of", "half a log-SNR", 2),
        ("InverseSign", "log_snr(time_of", "the sign of log-SNR", -1),
        ("DeviationOfStep", "V of transition", "sigma for sigma^2", None),
        ("NoAlphaInStep", "V of transition", "missing alpha", None),
        ("SingleSlope", "d_alpha", "float32", None),
        ("SingleInside", "log_snr", "float32", None),
        ("Backwards", "log_snr", "time runs backwards", None),
        ("Negative", "sigma", "sigma must be positive", None),
        ("OnlyForAWhile", "d_alpha", "", 1.1),
    ],
)
def test_a_mistake_in_a_schedule_is_named(tmp_path, name, quantity, mistake, ratio):
    found = found_of(of_schedule(tmp_path, name))
    explanation = found[-1].evidence.explanations[0]
    assert explanation.quantity.startswith(quantity)
    assert explanation.mistake.startswith(mistake) and bool(mistake) == bool(explanation.mistake)
    if ratio is not None:
        assert explanation.got / explanation.expected == pytest.approx(ratio, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "quantity", "mistake", "ratio"),
    [
        ("sign", "score at", "the sign", -1),
        ("sign_of_noise", "noise[", "the sign", -1),
        ("twice", "velocity at", "factor 2: twice", 2),
        ("half", "data at", "factor 2: half", 0.5),
        ("over_sigma", "score at", "one sigma too many", None),
        ("noise_variance", "score at", "sigma for sigma^2: in the variance", None),
        ("unscaled_means", "score at", "missing alpha: in the means", None),
        ("unscaled_variances", "score at", "missing alpha: in the variance", None),
        ("times_alpha", "score at", "one alpha too many: alpha times", None),
        ("noise", "score at", "another target: the noise", None),
        ("arithmetic", "score[", "float32", None),
        ("weights", "score at", "float32", None),
        ("negative_score", "score", "the sign", -1),
        ("shifted", "score at", "everywhere +0.01 is added", None),
        ("slightly", "score", "everywhere 1 +0.0001 times", None),
        ("in_places", "score at", "", 1.1),
    ],
)
def test_a_mistake_in_a_model_is_named(tmp_path, name, quantity, mistake, ratio):
    found = found_of(of_model(tmp_path, name))
    explanation = found[-1].evidence.explanations[0]
    assert explanation.quantity.startswith(quantity)
    assert explanation.mistake.startswith(mistake) and bool(mistake) == bool(explanation.mistake)
    if ratio is not None:
        assert explanation.got / explanation.expected == pytest.approx(ratio, rel=1e-6)


@pytest.mark.parametrize("name", ["Right", "RightFlow"])
def test_a_right_schedule_is_not_accused(tmp_path, name):
    schedule = as_schedule(loaded(tmp_path, SCHEDULES, name), name)
    for t in (0.1, 0.5, 0.9):
        assert explain_schedule(schedule, TimePair(schedule, 0.05, t)) == ()


@pytest.mark.parametrize(
    "name", ["right", "right_plane", "right_data", "right_score", "weights_in_double"]
)
def test_a_right_model_is_not_accused(tmp_path, name):
    model = as_model(loaded(tmp_path, MODELS, name), name)
    x_t = torch.full((model.diffusion.data.dimension,), 0.3, dtype=torch.float64)
    assert explain_model(ModelPoint(model, 0.3, 0.6, x_t)) == ()


def test_a_right_model_with_float32_weights_says_so(tmp_path):
    found = found_of(of_model(tmp_path, "weights"))[-1]
    assert found.evidence.worst < 1e-6
    assert list(report_lines(found))[-1].strip() == f"likely mistake: {FLOAT32}"


@pytest.mark.parametrize("name", ["slightly_in_places", "in_places_of_edm"])
def test_what_no_mistake_explains_everywhere_is_not_explained(tmp_path, name):
    model = as_model(loaded(tmp_path, MODELS, name), name)
    (explanation,) = explain_model(ModelPoint(model, 0.5, 0.5, torch.tensor([3.1]).double()))
    assert explanation.t == 0.5 and explanation.got != explanation.expected
    assert explanation.mistake == ""


def test_what_looks_like_rounding():
    got = torch.tensor([0.1, 0.7], dtype=torch.float64)
    layer, small, some = torch.nn.LayerNorm(2), torch.tensor([1e-7, 3e-8]), torch.tensor([1e-5] * 2)
    assert is_rounding(small, got, None) and not is_rounding(some, got, None)
    assert is_rounding(some, got, layer) and is_rounding(some, got.float().double(), None)
    assert not is_rounding(torch.tensor([0.0] * 9 + [1e-7]), got, layer)
    assert not is_rounding(torch.tensor([1e-2, 1e-7]), got, layer)
    assert not is_rounding(torch.tensor([]), got, layer)


def test_float32_is_found_where_a_function_has_it():
    weights = torch.ones(2)
    layer, double = torch.nn.LayerNorm(2), torch.ones(2, dtype=torch.float64)

    class Holder:
        def __init__(self, part):
            self.part = part

        def method(self, x_t, t):
            return x_t

    assert holds_float32(lambda x, t: x * weights) and not holds_float32(lambda x, t: x * double)
    assert holds_float32(layer) and not holds_float32(torch.nn.LayerNorm(2).double())
    assert holds_float32(Holder(layer).method) and not holds_float32(Holder(double).method)
    assert holds_float32(partial(max, weights)) and not holds_float32(partial(max, double))
    assert holds_float32(Holder([weights.numpy()])) and not holds_float32(3)


def test_what_falls_is_told_in_two_lines(tmp_path):
    fallen = found_of(of_schedule(tmp_path, "SlopeSign"))[-1]
    lines = [line.strip() for line in report_lines(fallen)]
    assert re.fullmatch(
        r"d_log_snr at t = [\d.]{3,5}: expected -[\d.]+, got [\d.]+, ratio -1", lines[2]
    )
    assert lines[3] == "likely mistake: the sign of d log-SNR"
    alone = Explanation("drift", 0.5, 0.0, 2.0)
    first, second = alone.lines()
    assert first == "drift at t = 0.5: expected 0, got 2"
    assert second == "likely mistake: none that is known, and no formula fits"


def not_tried(stages):
    """Why claims were not tried, and how many, and all verdicts."""
    found = list(falsify(stages, 1, 0))
    return {n.why: n for n in found if isinstance(n, NotTried)}, [
        v for v in found if isinstance(v, Verdict)
    ]


def test_all_claims_are_tried_or_counted(tmp_path):
    counts, held = not_tried(of_schedule(tmp_path, "RightFlow"))
    of_table = {claim.id for claim in ALL} & {v.evidence.claim for v in held}
    assert sum(n.count for n in counts.values()) + len(of_table) == len(ALL)
    assert (
        len(held) == len(of_table) + 2
    )  # the fall of the log-SNR and the ends are none of the table


@pytest.mark.parametrize("name", ["SlopeSign", "Rough", "table"])
def test_what_was_not_tried_is_counted_whatever_falls(tmp_path, name):
    counts, tried = not_tried(of_schedule(tmp_path, name))
    assert sum(n.count for n in counts.values()) + len(tried) - 2 == len(ALL)
    presupposing = [n for why, n in counts.items() if why.startswith("they presuppose")]
    assert len(presupposing) == (name != "table")
    assert all("what fell: derivatives" in why for why in counts if "presuppose" in why)
    assert any("smooth" in why for why in counts) == (name != "SlopeSign")
    assert any("too few times" in why for why in counts) == (name == "table")


def test_what_cannot_be_counted_is_said_to_be_more(tmp_path):
    counts, tried = not_tried(of_schedule(tmp_path, "Backwards"))
    (only,) = counts.values()
    assert (len(tried), only.count, only.or_more) == (1, 5, True)
    assert only.line() == "not tried: at least 5 claims, as they presuppose what fell: decreasing"
    assert NotTried(1, "of this").line() == "not tried: 1 claim, as of this"


def test_a_model_that_falls_leaves_the_rest_untried(tmp_path):
    counts, _ = not_tried(of_model(tmp_path, "sign"))
    assert [n.count for n in counts.values()] == [4, len(ALL) - 4]


class Backwards(VPLinear):
    """Noise first."""

    def alpha(self, t):
        return super().alpha(1 - t)

    def sigma(self, t):
        return super().sigma(1 - t)

    def d_alpha(self, t):
        return -super().d_alpha(1 - t)

    def d_sigma(self, t):
        return -super().d_sigma(1 - t)


def test_a_log_snr_that_rises_is_told_with_both_times():
    """What must fall below the log-SNR of s is that of t."""
    schedule = Backwards()
    (found,) = explain_rise(TimePair(schedule, 0.25, 0.75))
    early, late = schedule.log_snr(torch.tensor([0.25, 0.75], dtype=torch.float64)).tolist()
    assert (found.t, found.expected, found.got) == (0.75, early, late)
    assert late > early and found.mistake == BACKWARDS


@pytest.mark.parametrize(
    ("change", "quantity", "mistake"),
    [
        ("d_sigma = lambda self, t: math.nan * t", "d_sigma", None),
        ("d_alpha = lambda self, t: 1000 * VPCosine.d_alpha(self, t)", "d_alpha", "a time in thousandths"),
        ("d_alpha = lambda self, t: VPCosine.d_sigma(self, t)", "d_alpha", "exchanged: it is d_sigma"),
        ("log_snr = lambda self, t: VPCosine.log_snr(self, t) / 2", "log_snr", "log(alpha/sigma)"),
        (
            "d_sigma = lambda self, t: torch.where(t == 0.01, math.nan, VPCosine.d_sigma(self, t))",
            "d_sigma at an end", "an end",
        ),
    ],
)  # fmt: skip
def test_a_schedule_of_one_wrong_line_is_explained(tmp_path, change, quantity, mistake):
    text = (
        "import math\nimport torch\nfrom theory.schedules import VPCosine\n"
        f"class Mine(VPCosine):\n    {change}\nmine = Mine(t_min=0.01, t_max=0.99)\n"
    )
    schedule = as_schedule(loaded(tmp_path, text, "mine"), "mine")
    explanation = found_of(schedule_stages(schedule))[-1].evidence.explanations[0]
    assert explanation.quantity.startswith(quantity)
    assert (mistake or "") in explanation.mistake


LAWS = """
import math
import torch
from toy import Diffusion, GaussianMixture, Model
from theory.schedules import VPLinear

w, m, v = torch.tensor([0.3, 0.7]), torch.tensor([-1.5, 1.0]), torch.tensor([0.04, 0.5])
w, m, v = w.double(), m.double(), v.double()
diffusion = Diffusion(GaussianMixture.diagonal(w, m[:, None], v[:, None]), VPLinear())


def score(x, t, w=w, m=m, v=v, power=0.5, half=0.5, late=0.0, first=False):
    t = t[:1] if first else t
    a, s = (f(t + late)[:, None] for f in (diffusion.schedule.alpha, diffusion.schedule.sigma))
    c, d = a**2 * v + s**2, x - a * m
    r = torch.softmax(w.log() - half * d**2 / c - power * c.log(), 1)
    return -(r * d / c).sum(1, keepdim=True)


right = Model(score, diffusion)
"""


@pytest.mark.parametrize(
    ("wrong", "mistake"),
    [
        ("w=w.flip(0)", "weights exchanged"),
        ("v=v.flip(0)", "variances exchanged"),
        ("v=torch.stack([v[0].sqrt(), v[1]])", "the deviation of component 1"),
        ("w=w[1:] / w[1:], m=m[1:], v=v[1:]", "number 1 is forgotten"),
        ("power=0.0", "without 1/sqrt(det C)"),
        ("power=1.0", "with 1/det C"),
        ("half=1.0", "without 1/2 in the exponent"),
        ("late=0.001", "one step late"),
        ("first=True", "depends on the other rows"),
    ],
)
def test_a_score_of_one_wrong_part_is_explained(tmp_path, wrong, mistake):
    text = LAWS + f"wrong = Model(lambda x, t: score(x, t, {wrong}), diffusion)\n"
    model = as_model(loaded(tmp_path, text, "wrong"), "wrong")
    prediction = found_of(model_stages(model))[-1]
    assert prediction.evidence.claim == "prediction"
    assert mistake in prediction.evidence.explanations[0].mistake


def test_a_right_score_of_several_times_is_not_accused(tmp_path):
    model = as_model(loaded(tmp_path, LAWS, "right"), "right")
    assert explain_model(ModelPoint(model, 0.3, 0.6, torch.tensor([0.3]).double())) == ()


def test_values_that_are_nearly_the_same_are_told_by_their_difference():
    line, _ = Explanation("d_alpha", 0.5, 2.0, 2.0 + 1e-9).lines()
    assert line == "d_alpha at t = 0.5: expected 2, got 2.000000001, +1e-09 apart"
    line, _ = Explanation("d_alpha", 0.5, 1e-16, 2.0).lines()
    assert line == "d_alpha at t = 0.5: expected 1e-16, got 2"
    line, _ = Explanation("alpha", 0.5, math.inf, -2.0, "alpha must be positive").lines()
    assert line == "alpha at t = 0.5: got -2"


def test_a_log_snr_that_stands_still_does_not_fall():
    schedule = VPLinear()
    assert decreasing_error(TimePair(schedule, 0.2, 0.3)) == 0
    assert decreasing_error(TimePair(schedule, 0.2, 0.2)) == math.inf


def test_all_wrong_functions_of_ones_own_are_told(tmp_path):
    """The slope of the log-SNR and the drift follow from d_alpha, and are not told."""
    text = (
        "from theory.schedules import VPCosine\nclass Mine(VPCosine):\n"
        "    def d_alpha(self, t):\n        return 2 * super().d_alpha(t)\n"
        "    def diffusion_sq(self, t):\n        return -VPCosine.diffusion_sq(VPCosine(), t)\n"
        "    def time_of(self, log_snr):\n        return super().time_of(-log_snr)\n"
        "mine = Mine(t_min=0.01, t_max=0.99)\n"
    )
    schedule = as_schedule(loaded(tmp_path, text, "mine"), "mine")
    found = found_of(schedule_stages(schedule))[-1]
    assert [(e.quantity, e.mistake[:8]) for e in found.evidence.explanations] == [
        ("d_alpha", "factor 2"),
        ("diffusion_sq", "the sign"),
        ("log_snr(time_of(log_snr(t)))", "the sign"),
    ]
    assert sum("likely mistake" in line for line in report_lines(found)) == 3


PLANE = """
import torch
from toy import Diffusion, GaussianMixture, Model
from theory.schedules import VPLinear

w, m = torch.tensor([0.4, 0.6]).double(), torch.tensor([[-1.0, 0.5], [1.0, -0.5]]).double()
v = torch.tensor([[0.09, 0.25], [0.16, 0.36]]).double()
diffusion = Diffusion(GaussianMixture.diagonal(w, m, v), VPLinear())


def score(x, t, v=v, turned=False):
    a, s = (f(t)[:, None, None] for f in (diffusion.schedule.alpha, diffusion.schedule.sigma))
    a, s = (s, a) if turned else (a, s)
    c, d = a**2 * v + s**2, x[:, None] - a * m
    r = torch.softmax(w.log() - (d**2 / c + c.log()).sum(-1) / 2, 1)
    return -(r[..., None] * d / c).sum(1)


def in_second(x, t):
    return score(x, t) * torch.stack([torch.ones_like(t), 1 + 0.1 * t], 1)


def late(x, t):
    return torch.where(t[:, None] > 0.6, x + score(x, t), score(x, t))


def early(x, t):
    return torch.where(t[:, None] > 0.6, score(x, t), x + score(x, t))


def now_and_then(x, t):
    return torch.where((10 * t[:, None]).floor() % 2 == 0, x + score(x, t), score(x, t))


one_axis = Model(lambda x, t: score(x, t, torch.stack([v[:, 0], v[:, 1].sqrt()], 1)), diffusion)
turned = Model(lambda x, t: score(x, t, turned=True), diffusion)
in_second, late = Model(in_second, diffusion), Model(late, diffusion)
early, now_and_then = Model(early, diffusion), Model(now_and_then, diffusion)
"""


WITHIN = "the probabilities of the components are right, but given the component"
BESIDE_X = "it is x_t - E[e|x_t]/sigma, where -E[e|x_t]/sigma is right"


@pytest.mark.parametrize(
    ("name", "mistake", "where"),
    [
        ("one_axis", "sigma for sigma^2: the deviations in coordinate 1", ""),
        ("turned", "alpha and sigma exchanged", ""),
        ("in_second", WITHIN, r"wrong in coordinate 1 \(from 0\), right in the others"),
        ("late", BESIDE_X, r"right where t is at most 0\.[3-6]\d*, wrong from 0\.[678]\d* on"),
        ("early", BESIDE_X, r"wrong where t is at most 0\.[3-6]\d*, right from 0\.[678]\d* on"),
        ("now_and_then", BESIDE_X, ""),
    ],
)
def test_a_mistake_in_a_part_is_told_with_the_part(tmp_path, name, mistake, where):
    model = as_model(loaded(tmp_path, PLANE, name), name)
    point = ModelPoint(model, 0.2, 0.85, torch.tensor([0.4, 0.3]).double())
    (explanation,) = explain_model(replace(point, s=0.45) if name == "early" else point)
    assert re.sub(r"; at .* times it is right", "", explanation.mistake).startswith(mistake)
    assert re.fullmatch(where, explanation.where)
    assert any(line == f"where: {explanation.where}" for line in explanation.lines()) == bool(where)


TURNED = """
import math
import torch
from dataclasses import replace
from functools import partial
from toy import Diffusion, GaussianMixture, Model
from theory.schedules import VPLinear

f = partial(torch.tensor, dtype=torch.float64)
w, m = f([0.25, 0.75]), f([[-1.5, 0.5], [1.0, 0.25]])
turns = f([[[0.8, -0.6], [0.6, 0.8]], [[0.6, -0.8], [0.8, 0.6]]])
variances, schedule = f([[0.5, 1.0], [1.5, 0.2]]), VPLinear()
data = GaussianMixture(w.log(), m, variances, turns)
c = data.covariances()
factors, moved = torch.linalg.cholesky(c), m - w @ m
variance = (w @ (c.diagonal(dim1=1, dim2=2) + moved**2)).mean()


def of_laws(score, data=data):
    def predict(x, t):
        y = torch.empty_like(x)
        for u in t.unique():
            a, s = schedule.alpha(u), schedule.sigma(u)
            y[t == u] = score(Diffusion(data, schedule).marginal(u.item()), x[t == u], a, s)
        return y

    return Model(predict, Diffusion(globals()["data"], schedule))


def of_law(data):
    return of_laws(lambda law, x, a, s: law.score(x), data)


def likely(law, x, a, s):
    chosen = law.responsibilities(x).argmax(1)
    return law.component_scores(x)[torch.arange(len(x)), chosen]


def as_one(law, x, a, s):
    m, c = law.mean(), law.covariances()
    off = law.means - m
    whole = torch.einsum("k,kij->ij", w, c + off[:, :, None] * off[:, None, :])
    return -(x - m) @ torch.linalg.inv(whole)


def backwards(law, x, a, s):
    (u,) = [u for u in [schedule.time_of(torch.log(a**2 / s**2)).item()]]
    return Diffusion(data, schedule).score(x, schedule.t_min + schedule.t_max - u)


def alpha_bar(law, x, a, s):
    spread = a**4 * c + s**2 * torch.eye(2).double()
    return GaussianMixture.full(w, a**2 * m, spread).score(x)


def beside(law, x, a, s):
    return law.score(x) - 0.1 * x.mean(0)
"""


@pytest.mark.parametrize(
    ("wrong", "mistake"),
    [
        ("of_law(replace(data, log_weights=0 * data.log_weights - math.log(2)))", "equal weights"),
        ("of_law(GaussianMixture.full(w, m, torch.linalg.inv(c)))", "their inverses"),
        ("of_law(replace(data, rotations=data.rotations.mT))", "turned the other way"),
        ("of_law(GaussianMixture.full(w, m, factors.mT @ factors))", "L^T L in place of L L^T"),
        ("of_law(GaussianMixture.full(w, moved / variance.sqrt(), c / variance))", "of mean 0 and"),
        ("of_laws(lambda law, x, a, s: GaussianMixture.full(w, a * m, a**2 * c).score(x))", "missing noise"),
        ("of_laws(alpha_bar)", "alpha_bar for alpha"),
        ("of_laws(likely)", "the most likely one alone"),
        ("of_laws(as_one)", "one Gaussian with the mean"),
        ("of_laws(backwards)", "backwards"),
        ("of_laws(lambda law, x, a, s: law.score(x).flip(1))", "the other way round"),
        ("of_laws(lambda law, x, a, s: law.log_density(x).exp()[:, None] * law.score(x))", "not of its log"),
        ("of_laws(lambda law, x, a, s: law.score(x).bfloat16().double())", "bfloat16"),
        ("of_laws(lambda law, x, a, s: torch.where(x > 0.5, math.nan, law.score(x) + 1))", ""),
    ],
)  # fmt: skip
def test_a_score_of_a_wrong_law_is_explained(tmp_path, monkeypatch, wrong, mistake):
    monkeypatch.setattr(model_mistakes, "MOST_TIMES", 3)
    model = loaded(tmp_path, f"{TURNED}\nwrong = {wrong}\n", "wrong")
    found = likely_mistake(model, torch.tensor([0.7, -0.4]).double(), 0.6)
    assert mistake in found and bool(mistake) == bool(found)


def test_a_wrong_score_of_several_rows_is_told_to_depend_on_them(tmp_path):
    """Where no other mistake explains it."""
    model = loaded(tmp_path, f"{TURNED}\nwrong = of_laws(beside)\n", "wrong")
    x_t = torch.tensor([0.7, -0.4]).double()
    (explanation,) = explain_model(ModelPoint(model, 0.3, 0.6, x_t))
    assert explanation.mistake == AMONG_OTHERS
