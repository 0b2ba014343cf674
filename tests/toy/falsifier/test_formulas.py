"""What wrong values are, as formulas that are found from them and stand in no list of mistakes."""

import itertools
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.toy.falsifier.test_likely_mistakes import (
    BODY,
    MINE,
    M,
    V,
    W,
    explained,
    mean,
    parts,
    schedule,
    score,
)
from theory.diffusion.schedules import DiscreteSchedule
from theory.diffusion.targets import DATA, FLOW, NOISE, VELOCITY
from toy import Diffusion, GaussianMixture, Model
from toy.falsifier.fitted_laws import BETWEEN, law_of_scores, points_of
from toy.falsifier.model_errors import ModelPoint
from toy.falsifier.model_mistakes import explain_model
from toy.falsifier.number_series import Series, differing, tell
from toy.falsifier.schedule_mistakes import explain_schedule
from toy.falsifier.sums import products, sum_of_terms, times
from toy.judge.evidence import Explanation
from toy.mixtures.mixture import float64
from toy.strategies.time_pairs import TimePair

ALPHA = float64([0.97, 0.9, 0.8, 0.66, 0.5, 0.31, 0.17, 0.08])
SIGMA = float64([0.3, 0.5, 0.7, 0.72, 0.9, 1.3, 1.9, 2.2])
SCALES = {"alpha": ALPHA, "sigma": SIGMA}
TERMS = products(SCALES, size=4)


def value(formula):
    """What a formula says."""
    product = re.sub(r"(?<=[\w)]) (?=[\w(])", "*", formula.replace("^", "**"))
    return eval(product, {"__builtins__": {}}, SCALES)


def test_products_and_their_names():
    assert list(TERMS)[:3] == ["1", "1/alpha", "1/sigma"]
    assert {"alpha^2/sigma", "1/(alpha sigma)", "sigma^4", "alpha sigma"} <= set(TERMS)
    assert "alpha^3 sigma^2" not in TERMS
    for name, values in TERMS.items():
        torch.testing.assert_close(torch.as_tensor(value(name)).expand(8).double(), values)
    slopes = times({"1": torch.ones(8), "alpha'": 2 * ALPHA}, {"sigma/alpha": SIGMA / ALPHA})
    assert list(slopes) == ["sigma/alpha", "sigma alpha'/alpha"]
    torch.testing.assert_close(slopes["sigma alpha'/alpha"], 2 * SIGMA)


@given(
    st.sampled_from(sorted(TERMS)),
    st.sampled_from(sorted(TERMS)),
    st.sampled_from([1.0, -1.0, 2.0, 0.5, -3.0, 0.37]),
    st.sampled_from([0.0, 1.0, -1.0, 0.25, 1.7]),
)
def test_a_sum_is_found_and_its_text_says_the_values(first, second, a, b):
    values = a * TERMS[first] + b * TERMS[second]
    if not values.abs().min() > 1e-3:
        return
    formula = sum_of_terms(values, TERMS)
    assert formula
    torch.testing.assert_close(
        torch.as_tensor(value(formula)).expand(8).double(), values, rtol=2e-5, atol=1e-9
    )


def test_what_is_no_sum_has_no_formula():
    assert sum_of_terms(torch.sin(3 * ALPHA) + SIGMA.exp(), TERMS) == ""
    assert sum_of_terms(1e-5 + ALPHA * (1 + 1e-4 * torch.sin(9 * SIGMA)), TERMS) == ""
    assert sum_of_terms(ALPHA[:5], {"alpha": ALPHA[:5]}) == ""
    assert sum_of_terms(0 * ALPHA, TERMS) == ""
    one_nan = torch.where(ALPHA > 0.95, torch.nan, ALPHA)
    assert sum_of_terms(one_nan, TERMS) == ""
    assert sum_of_terms(ALPHA, {"unknown": one_nan, "alpha": ALPHA}) == "alpha"


@pytest.mark.parametrize(
    ("values", "formula"),
    [
        (ALPHA, "alpha"),
        (-ALPHA, "-alpha"),
        (0.37 / SIGMA, "0.37/sigma"),
        (2 - ALPHA**2, "2 - alpha^2"),
        (ALPHA - SIGMA, "alpha - sigma"),
        (0.5 * ALPHA**2 / SIGMA - 1 / (ALPHA * SIGMA), "0.5 alpha^2/sigma - 1/(alpha sigma)"),
    ],
)
def test_the_text_of_a_sum(values, formula):
    assert sum_of_terms(values, TERMS) == formula


def test_of_sums_with_the_same_values_the_one_with_plain_numbers_is_told():
    scales = {"alpha": ALPHA, "sigma": (1 - ALPHA**2).sqrt()}
    preserved = products(scales, size=4)
    assert sum_of_terms(0.3 + 0.7 * scales["sigma"] ** 2, preserved) in (
        "1 - 0.7 alpha^2", "0.3 alpha^2 + sigma^2",
    )  # fmt: skip


def test_series_of_numbers():
    same = Series("one", "1", ALPHA, ALPHA * (1 + 1e-9), TERMS)
    other = Series("another", "alpha", 2 * ALPHA, ALPHA, TERMS)
    small = Series("rounding", "0", 1e-12 * SIGMA, 0 * ALPHA, TERMS)
    strange = Series("strange", "", torch.sin(3 * ALPHA) + SIGMA.exp(), ALPHA, TERMS)
    hidden = Series("hidden", "1", 2 * ALPHA, ALPHA, TERMS, shows=False)
    assert differing([same, other, small, hidden, strange]) == [other, strange]
    assert tell([other], [0.1] * 8) == "another is 2 alpha, where alpha is right"
    assert (
        tell([strange], list(map(float, range(8))))
        == "strange is 9.26272 at t = 7, where 0.08 is right"
    )
    assert tell([other] * 5, [0.1] * 8).endswith("; 2 more numbers differ")
    assert tell([other] * 5, [0.1] * 8).count("another") == 3
    assert tell([], []) == ""


T = 0.4
LAW = MINE.marginal(T)
LAWS = {
    "right": LAW,
    "weights": GaussianMixture.diagonal(W.flip(0), LAW.means, LAW.variances),
    "a mean": GaussianMixture.diagonal(W, LAW.means + float64([[0.2, 0], [0, 0]]), LAW.variances),
    "variances": GaussianMixture.diagonal(W, LAW.means, 0.6 * LAW.variances),
    "covariances": GaussianMixture.full(
        W, LAW.means, LAW.covariances() + 0.1 * torch.ones(2, 2).double()
    ),
}


@pytest.mark.parametrize("name", LAWS)
def test_a_law_is_found_from_its_scores(name):
    x, law = points_of(LAW), LAWS[name]
    found = law_of_scores(x, law.score(x), LAW)
    assert found.power == 1
    torch.testing.assert_close(found.law.log_weights, law.log_weights)
    torch.testing.assert_close(found.law.means, law.means)
    torch.testing.assert_close(found.law.covariances(), law.covariances())


def test_what_is_no_score_of_a_mixture_has_no_law():
    x = points_of(LAW)
    assert law_of_scores(x, LAW.score(x) + 0.01 * torch.sin(5 * x), LAW) is None
    assert law_of_scores(x, torch.full_like(x, torch.nan), LAW) is None
    many = GaussianMixture.diagonal(torch.ones(40), torch.arange(40.0)[:, None], torch.ones(40))
    assert law_of_scores(points_of(many), many.score(points_of(many)), many) is None


def of_law(means, variances, weights=W, scales=parts):
    """The score of a mixture whose means and variances are made from alpha and sigma."""

    def found(x, t):
        c, d = variances(*scales(t)), x[:, None] - means(*scales(t))
        r = torch.softmax(weights.log() - (d**2 / c + c.log()).sum(-1) / 2, 1)
        return -(r[..., None] * d / c).sum(1)

    return found


def right_means(a, s):
    return a * M


def right_variances(a, s):
    return a**2 * V + s**2


def with_gain(x, t):
    """The score from a mean of x_0 with a wrong gain within the components."""
    a, s = parts(t)
    c, d = a**2 * V + s**2, x[:, None] - a * M
    r = torch.softmax(W.log() - (d**2 / c + c.log()).sum(-1) / 2, 1)[..., None]
    data = (r * (M + a * V * d / s**2)).sum(1)
    return -(x - a[:, 0] * data) / s[:, 0] ** 2


TYPED = V + float64([[0, 0.05], [0, 0]])
MODELS = {
    "beside x": (
        lambda x, t: score(x, t) - 0.1 * x,
        "it is -0.1 x_t - E[e|x_t]/sigma, where -E[e|x_t]/sigma is right",
    ),
    "power": (
        lambda x, t: score(x, t) * parts(t)[0][:, 0] ** 3, "it is -alpha^3 E[e|x_t]/sigma, where"
    ),
    "a number of a variance": (
        of_law(right_means, lambda a, s: a**2 * TYPED + s**2),
        "the law of x_t is another: the variance of component 1 of 2, coordinate 1, is "
        "0.3 alpha^2 + sigma^2, where 0.25 alpha^2 + sigma^2 is right",
    ),
    "a weight": (
        of_law(right_means, right_variances, float64([0.45, 0.55])),
        "the weight of component 1 of 2 is 0.45, where 0.4 is right; the weight of component 2",
    ),
    "a mean": (
        of_law(lambda a, s: a * M + float64([[0, 0], [0.1, 0]]), right_variances),
        "the mean of component 2 of 2, coordinate 0, is 0.1 + 1.5 alpha, where 1.5 alpha is right",
    ),
    "a power of sigma": (
        of_law(right_means, lambda a, s: a**2 * V + s**3),
        "the law of x_t is another: sigma^2 in its variances is sigma^3, where sigma^2 is right",
    ),
    "a factor of alpha": (
        of_law(lambda a, s: 1.1 * a * M, right_variances),
        "the law of x_t is another: alpha in the means of x_t is 1.1 alpha, where alpha is right",
    ),
    "data's variance": (
        of_law(right_means, lambda a, s: 2 * a**2 * V + s**2),
        "alpha^2 in its variances is 2 alpha^2, where alpha^2 is right",
    ),
    "another time": (
        lambda x, t: score(x, 0.9 * t + 0.05), "the time that is taken is 0.9 t + 0.05, where t is right"
    ),
    "input": (lambda x, t: score(1.1 * x, t), "it is what is right at 1.1 x_t, in place of x_t"),
    "input over alpha": (
        lambda x, t: score(x / parts(t)[0][:, 0], t), "input: x_t/alpha in place of x_t"
    ),
    "tempered": (
        lambda x, t: score(x, t, probabilities=lambda logs: torch.softmax(1.5 * logs, 1)),
        "the power of the probabilities of the components is 1.5, where 1 is right",
    ),
    "exchanged": (
        lambda x, t: score(x, t, probabilities=lambda logs: torch.softmax(logs, 1).flip(1)),
        "components: their probabilities exchanged",
    ),
    "gain": (
        with_gain,
        "the probabilities of the components are right, but given the component (of variance V in x_t), "
        "y = a x_t + b, a in component 1 of 2, coordinate 0 is V/sigma^4 - 2/sigma^2, where -1/V is right",
    ),
    "now and then": (
        lambda x, t: score(x, t) + x * ((10 * t[:, None]).floor() % 2),
        "it is x_t - E[e|x_t]/sigma, where -E[e|x_t]/sigma is right; at ",
    ),
    "no formula": (lambda x, t: score(x, t) + 0.1 * torch.sin(x), None),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_wrong_score_as_a_formula(name):
    predict, formula = MODELS[name]
    (found,) = explained(predict, t=0.354)
    if formula is None or formula.startswith("the law"):
        assert found.mistake == (formula or "")
    else:
        assert formula in found.mistake


def test_a_multiple_of_the_score_of_another_law():
    """The noise of a diffusion whose sigma is 1.2 times as large."""

    def noise(x, t):
        wider = of_law(right_means, lambda a, s: a**2 * V + 1.44 * s**2)
        return -1.2 * parts(t)[1][:, 0] * wider(x, t)

    (found,) = explained(noise, NOISE)
    assert found.mistake == (
        "it is a multiple of the score of another law: the factor is 1.2, where 1 is right; "
        "sigma^2 in its variances is 1.44 sigma^2, where sigma^2 is right"
    )


def test_densities_with_a_wrong_determinant():
    """(1/2) log v for (d/2) log v."""
    v = V[:, :1].expand(2, 2)
    law = Diffusion(GaussianMixture.diagonal(W, M, v), MINE.schedule)

    def predict(x, t, c=None):
        a, s = parts(t)
        c, d = a**2 * v + s**2, x[:, None] - a * M
        r = torch.softmax(W.log() - (d**2 / c).sum(-1) / 2 - c[..., 0].log() / 2, 1)
        return -(r[..., None] * d / c).sum(1)

    (found,) = explain_model(ModelPoint(Model(predict, law), 0.15, 0.35, float64([0.4, 0.3])))
    assert found.mistake == (
        "components: their densities with 1/sqrt(v) for v^(-d/2), v = det(C)^(1/d)"
    )


def test_a_wrong_noise_beside_the_right_data():
    def flow(x, t):
        s = parts(t)[1][:, 0]
        slopes = MINE.schedule.d_alpha(t)[:, None], MINE.schedule.d_sigma(t)[:, None]
        return slopes[0] * mean(x, t) + slopes[1] * (x - mean(x, t)) / s

    (found,) = explained(flow, FLOW)
    assert found.mistake == "missing alpha: in (x_t - alpha x_0)/sigma, beside the right data"


def test_a_wrong_velocity_and_wrong_data_as_formulas():
    def velocity(x, t):
        a, s = (scale[:, 0] for scale in parts(t))
        return a * (x - a * mean(x, t)) / s - s**2 * mean(x, t)

    (found,) = explained(velocity, VELOCITY)
    assert found.mistake == (
        "it is alpha E[e|x_t] - sigma^2 E[x_0|x_t], where alpha E[e|x_t] - sigma E[x_0|x_t] is right"
    )
    (found,) = explained(lambda x, t: mean(x, t) + 0.2 * x, DATA)
    assert found.mistake == "it is 0.2 x_t + E[x_0|x_t], where E[x_0|x_t] is right"


def test_a_table_of_times_has_formulas():
    steps = DiscreteSchedule(torch.linspace(0.9999, 0.98, 200).cumprod(0).double())
    wrong = of_law(
        right_means,
        lambda a, s: a**2 * V + 1.2 * s**2,
        scales=lambda t: (steps.alpha(t)[:, None, None], steps.sigma(t)[:, None, None]),
    )
    point = ModelPoint(
        Model(lambda x, t, c=None: wrong(x, t), Diffusion(MINE.data, steps)),
        40.0,
        90.0,
        float64([0.4, 0.3]),
    )
    (found,) = explain_model(point)
    assert "sigma^2 in its variances is 1.2 sigma^2, where sigma^2 is right" in found.mistake


SCHEDULES = {
    "by t": ("d_alpha", BODY.format("d_alpha", "t") + " * t", "it is t alpha', where alpha' is right"),
    "power rule": (
        "d_sigma", BODY.format("d_sigma", "t") + " * 3 * t**2", "it is 3 t^2 sigma', where sigma' is right"
    ),
    "a term of g^2": (
        "diffusion_sq",
        "2 * self.sigma(t) * (self.d_sigma(t) - self.d_alpha(t) / self.alpha(t))",
        "it is 2 sigma sigma' - 2 sigma alpha'/alpha, where 2 sigma sigma' - 2 sigma^2 alpha'/alpha is right",
    ),
    "one half": (
        "d_log_snr",
        "2 * self.d_alpha(t) / self.alpha(t) - self.d_sigma(t) / self.sigma(t)",
        "it is 2 alpha'/alpha - sigma'/sigma, where 2 alpha'/alpha - 2 sigma'/sigma is right",
    ),
    "no logarithm": (
        "log_snr", "(self.alpha(t) / self.sigma(t)) ** 2",
        "it is alpha^2/sigma^2, where 2 log(alpha) - 2 log(sigma) is right",
    ),
    "moved": (
        "log_snr", BODY.format("log_snr", "t") + " + 0.1", "it is log(alpha^2/sigma^2) + 0.1, where"
    ),
    "root": (
        "transition", "(self.alpha(t) / self.alpha(s)).sqrt(), self.sigma(t) ** 2",
        "it is sqrt(alpha_t/alpha_s), where alpha_t/alpha_s is right",
    ),
    "other step": (
        "transition",
        "self.alpha(t) / self.alpha(s), "
        "self.sigma(t) ** 2 - self.sigma(s) ** 2 * self.alpha(s) / self.alpha(t)",
        "it is sigma_t^2 - alpha_s sigma_s^2/alpha_t, where sigma_t^2 - ",
    ),
    "slope of the log-SNR": (
        "drift", BODY.format("d_log_snr", "t") + " / 2",
        "it is alpha'/(alpha sigma^2) (here the same as 0.5 (log-SNR)'), where",
    ),
    "drift for the slope of log-SNR": (
        "d_log_snr", "self.drift(t)", "it is alpha'/alpha, where 2 alpha'/alpha - 2 sigma'/sigma is right",
    ),
    "guard": (
        "log_snr", "(self.alpha(t) ** 2 / (self.sigma(t) ** 2 + 1e-4)).log()",
        "a guard: 0.0001 is added to sigma^2",
    ),
    "few digits": (
        "d_alpha", BODY.format("d_alpha", "t") + " * 1.5708 / (math.pi / 2)",
        "everywhere 1 +2.34e-06 times what it should be: a constant with few digits?",
    ),
    "posterior variance": (
        "transition",
        "self.alpha(t) / self.alpha(s), (self.sigma(t) ** 2 - (self.alpha(t) / self.alpha(s)) ** 2 * "
        "self.sigma(s) ** 2) * (self.sigma(s) / self.sigma(t)) ** 2",
        "the variance of x_s given x_t and x_0, V sigma_s^2/sigma_t^2, in place of V",
    ),
    "another time": (
        "d_sigma", BODY.format("d_sigma", "t + 0.001"), "time: 0.001 late, right there",
    ),
    "without slopes": (
        "diffusion_sq", "3 * self.sigma(t)",
        "it is 3 sigma, where 2 sigma sigma' - 2 sigma^2 alpha'/alpha (here 3.14159 sigma/alpha) is right",
    ),
    "own inverse": ("time_of", "0.3 + 0.2 * torch.sigmoid(log_snr) ** 3", ""),
    "no formula": ("drift", "torch.sin(5 * t)", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_wrong_schedule_as_a_formula(tmp_path, name):
    function, body, formula = SCHEDULES[name]
    arguments = {"transition": "self, s, t", "time_of": "self, log_snr"}.get(function, "self, t")
    mine = schedule(tmp_path, f"{function} = lambda {arguments}: ({body})")
    first, *_ = explain_schedule(mine, TimePair(mine, 0.2, 0.85))
    assert formula in first.mistake and bool(formula) == bool(first.mistake)


def test_a_right_inverse_is_not_blamed_for_a_wrong_log_snr(tmp_path):
    mine = schedule(tmp_path, f"log_snr = lambda self, t: {BODY.format('log_snr', 't')} / 2")
    (found,) = explain_schedule(mine, TimePair(mine, 0.2, 0.85))
    assert found.quantity == "log_snr" and "half a log-SNR" in found.mistake


def test_a_mistake_is_told_once():
    found = Explanation("drift", 0.5, 1.0, 2.0, "factor 2")
    assert list(found.lines({"factor 2": "slopes"})) == ["likely mistake: as of slopes"]
    assert list(found.lines({"another": "slopes"}))[1] == "likely mistake: factor 2"


def test_points_lie_on_the_way_from_each_component_to_each_other():
    x = points_of(LAW)
    for one, other in itertools.permutations(LAW.means, 2):
        for share in BETWEEN:
            assert ((x - (one + share * (other - one))).abs().amax(1) < 1e-12).any()
