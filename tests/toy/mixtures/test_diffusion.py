"""The diffusion of a mixture: its marginals, its reverse kernel step by step, its posterior mean."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from theory.diffusion.schedules import EDM, RectifiedFlow, VPLinear
from theory.diffusion.targets import DATA, FLOW, NOISE
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture
from toy.numerics.quadrature import expectation
from toy.strategies.mixtures import Components, ReverseCase, reverse_cases
from toy.strategies.time_pairs import TimePair

LEVEL = 1e-6
R, S, T = 0.1, 0.3, 0.6
SCHEDULES = [VPLinear(), EDM(), RectifiedFlow()]
LINE = GaussianMixture.diagonal(
    torch.tensor([0.6, 0.4]), torch.tensor([[-2.0], [1.5]]), torch.tensor([0.15, 0.3])
)
PLANE = Components(
    (0.5, 0.5), ((-1.0, 0.5), (1.0, 0.0)), ((0.4, 1.2), (0.8, 0.5)), (0.5, 2.0)
).mixture()
X_T = {1: torch.tensor([0.4], dtype=torch.float64), 2: torch.tensor([0.4, -0.3]).double()}


def gain_forgotten(diffusion, x_t, s, t):
    """A mistake: the kernel's means without what x_t says."""
    kernel = diffusion.reverse_kernel(x_t, s, t)
    return replace(kernel, means=diffusion.marginal(s).means.expand(kernel.means.shape))


def weights_forgotten(diffusion, x_t, s, t):
    """A mistake: prior weights for posterior ones."""
    kernel = diffusion.reverse_kernel(x_t, s, t)
    return replace(kernel, log_weights=diffusion.data.log_weights.expand(kernel.log_weights.shape))


def gain_without_a(diffusion, x_t, s, t):
    """A mistake: C_sk C_tk^-1 (x_t - alpha_t m_k) without its factor A."""
    kernel, a = diffusion.reverse_kernel(x_t, s, t), diffusion.transition(s, t)[0]
    start = diffusion.marginal(s).means
    return replace(kernel, means=start + (kernel.means - start) / a)


MISTAKES = [gain_forgotten, weights_forgotten, gain_without_a]


def composition_error(data, schedule, kernel=Diffusion.reverse_kernel):
    """E[E[x_r|x_s] | x_t] = E[x_r|x_t]: the mean of two steps is that of one."""
    diffusion, x_t = Diffusion(data, schedule), X_T[data.dimension]
    two = expectation(kernel(diffusion, x_t, S, T), lambda x_s: kernel(diffusion, x_s, R, S).mean())
    one = kernel(diffusion, x_t, R, T).mean()
    return ((two.value - one).abs().max() / two.magnitude.max()).item()


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
@pytest.mark.parametrize("data", [LINE, PLANE], ids=["line", "plane"])
def test_two_reverse_steps_have_the_mean_of_one(data, schedule):
    assert composition_error(data, schedule) < 1e-10


@pytest.mark.parametrize("mistaken", [weights_forgotten, gain_without_a])
@pytest.mark.parametrize("data", [LINE, PLANE], ids=["line", "plane"])
def test_mistaken_steps_do_not_have_the_mean_of_one(data, mistaken):
    assert composition_error(data, VPLinear(), mistaken) > 1e-3


def chapman_kolmogorov_error(schedule, kernel=Diffusion.reverse_kernel):
    """E[q(x_r|x_s) | x_t] = q(x_r|x_t) at some points x_r, by quadrature over x_s."""
    diffusion, x_t = Diffusion(LINE, schedule), X_T[1]
    x_r = torch.tensor([-2.0, -1.0, 0.0, 0.5, 1.5], dtype=torch.float64)

    def density(x_s):
        laws = kernel(diffusion, x_s, R, S)
        return torch.stack([torch.exp(laws.log_density(x.expand(len(x_s), 1))) for x in x_r], 1)

    two = expectation(kernel(diffusion, x_t, S, T), density, scale=0.05)
    one = torch.exp(kernel(diffusion, x_t, R, T).log_density(x_r[:, None]))
    return ((two.value - one).abs().max() / one.max()).item()


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
def test_two_reverse_steps_have_the_law_of_one(schedule):
    assert chapman_kolmogorov_error(schedule) < 1e-9


@pytest.mark.parametrize("mistaken", MISTAKES)
def test_mistaken_steps_do_not_have_the_law_of_one(mistaken):
    assert chapman_kolmogorov_error(VPLinear(), mistaken) > 1e-2


def marginal_error(diffusion, t):
    """Distance of q_t from the data's law, over all that describes it."""
    law, data = diffusion.marginal(t), diffusion.data
    pairs = [
        (law.means, data.means),
        (law.covariances(), data.covariances()),
        (law.log_weights, data.log_weights),
    ]
    return max((a - b).abs().max().item() for a, b in pairs)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
@pytest.mark.parametrize("data", [LINE, PLANE], ids=["line", "plane"])
def test_the_first_marginal_is_the_data(data, schedule):
    first = replace(schedule, t_min=0.0).t_min + 1e-12
    assert marginal_error(Diffusion(data, schedule), first) < 1e-10
    assert marginal_error(Diffusion(data, schedule), 0.5) > 0.1


@pytest.mark.parametrize("data", [LINE, PLANE], ids=["line", "plane"])
def test_marginals_have_the_moments_of_the_forward_process(data):
    diffusion = Diffusion(data, VPLinear())
    alpha, sigma = diffusion.scales(S)
    law, d = diffusion.marginal(S), data.dimension
    assert (law.mean() - alpha * data.mean()).abs().max() < 1e-14
    expected = alpha**2 * data.covariances() + sigma**2 * torch.eye(d, dtype=torch.float64)
    assert (law.covariances() - expected).abs().max() < 1e-14
    assert (law.covariances() - expected + sigma).abs().max() > 0.1


def posterior_mean_error(case, power):
    """Conditioning the components, against Tweedie's (x_t + sigma^2 score)/alpha."""
    diffusion, t, x_t = case.diffusion, case.times.t, case.x_t()
    alpha, sigma = diffusion.scales(t)
    correction = sigma**power * diffusion.marginal(t).score(x_t)
    difference = diffusion.posterior_mean(x_t, t) - (x_t + correction) / alpha
    size = (1 + x_t.abs() + correction.abs()).max() / alpha
    return (difference.abs().max() / size).item()


@given(st.one_of(*(reverse_cases(d, 4.0, 0.2) for d in (1, 2, 3))))
def test_posterior_mean_is_tweedies(case):
    assert posterior_mean_error(case, power=2) < 1e-10


def test_sigma_for_sigma_squared_is_told_apart():
    one = Components((1.0,), ((0.5,),), ((0.3,),), ())
    case = ReverseCase(one, TimePair(VPLinear(), S, T), near=0, offset=(1.5,))
    assert posterior_mean_error(case, power=2) < 1e-10
    assert posterior_mean_error(case, power=1) > 1e-3


def by_bayes(diffusion, x_t, t):
    """E[x_0|x_t] with no formula of the kernel: data weighed by the forward density."""
    alpha, sigma = diffusion.scales(t)

    def weighed(x_0):
        density = torch.exp(-((x_t - alpha * x_0) ** 2).sum(-1, keepdim=True) / (2 * sigma**2))
        return torch.cat([density, density * x_0], 1)

    total = expectation(diffusion.data, weighed, scale=sigma / alpha).value
    return total[1:] / total[0]


@pytest.mark.parametrize("data", [LINE, PLANE], ids=["line", "plane"])
def test_posterior_mean_is_that_of_bayes(data):
    diffusion, x_t = Diffusion(data, VPLinear()), X_T[data.dimension]
    exact = by_bayes(diffusion, x_t, S)
    assert (diffusion.posterior_mean(x_t, S) - exact).abs().max() < 1e-9
    assert (diffusion.posterior_mean(x_t, S + 0.01) - exact).abs().max() > 1e-3


def test_noise_prediction_and_posterior_mean_make_up_the_point():
    diffusion, x_t = Diffusion(PLANE, VPLinear()), X_T[2]
    alpha, sigma = diffusion.scales(S)
    x_0, e = diffusion.posterior_mean(x_t, S), diffusion.noise_prediction(x_t, S)
    assert (alpha * x_0 + sigma * e - x_t).abs().max() < 1e-14
    assert (alpha * x_0 - sigma * e - x_t).abs().max() > 0.01


def test_the_martingale_is_alpha_times_the_score():
    diffusion, x_t = Diffusion(PLANE, VPLinear()), X_T[2]
    score = diffusion.marginal(S).score(x_t)
    assert torch.equal(diffusion.martingale(x_t, S), diffusion.scales(S)[0] * score)
    assert not torch.equal(diffusion.martingale(x_t, S), score)


def path(count=1, times=(T, S, R), seed=0):
    diffusion = Diffusion(LINE, VPLinear())
    x_t = X_T[1].expand(count, 1)
    return list(diffusion.reverse_path(x_t, list(times), torch.Generator().manual_seed(seed)))


def test_a_reverse_path_starts_at_its_point_and_visits_every_time():
    points = path(3)
    assert len(points) == 3
    assert torch.equal(points[0], X_T[1].expand(3, 1))
    assert [x.shape for x in points] == [(3, 1)] * 3
    assert not torch.equal(points[1], points[0])
    assert len(path(times=[T])) == 1


def test_a_reverse_path_depends_on_its_generator_only():
    assert torch.equal(path(3)[-1], path(3)[-1])
    assert not torch.equal(path(3)[-1], path(3, seed=1)[-1])


def end_p_value(end, law):
    weights, deviations = torch.exp(law.log_weights), law.variances[:, 0].sqrt()

    def distribution(x):
        z = (torch.from_numpy(x)[:, None] - law.means[:, 0]) / deviations
        return (torch.special.ndtr(z) @ weights).numpy()

    return kstest(end[:, 0].numpy(), distribution).pvalue


def test_the_end_of_a_path_has_the_law_of_one_step():
    end = path(20_000)[-1]
    diffusion = Diffusion(LINE, VPLinear())
    assert end_p_value(end, diffusion.reverse_kernel(X_T[1], R, T)) >= LEVEL
    assert end_p_value(end, diffusion.reverse_kernel(X_T[1] + 1, R, T)) < LEVEL
    assert end_p_value(end, diffusion.marginal(R)) < LEVEL


@pytest.mark.parametrize("x_t", [0.1, 1e6 + 0.1])
def test_a_far_component_loses_no_digits_of_the_point(x_t):
    """Its mean given x_t, against exact fractions: near the point or near the component."""
    places, deviations = [0.0, 1e6], [1.0, 1e3]
    data = GaussianMixture.diagonal(
        torch.ones(2), torch.tensor(places, dtype=torch.float64)[:, None], torch.tensor([1.0, 1e6])
    )
    diffusion, s, t = Diffusion(data, RectifiedFlow()), 1e-6, 2e-6
    point = torch.tensor([x_t], dtype=torch.float64)
    kernel = diffusion.reverse_kernel(point, s, t)
    (alpha_s, sigma_s), (alpha_t, sigma_t) = ((1 - Fraction(r), Fraction(r)) for r in (s, t))
    a = alpha_t / alpha_s
    v = sigma_t**2 - a**2 * sigma_s**2
    for k, (place, deviation) in enumerate(zip(places, deviations, strict=True)):
        earlier = (alpha_s * Fraction(deviation)) ** 2 + sigma_s**2
        exact = (a * earlier * Fraction(x_t) + v * alpha_s * Fraction(place)) / (a**2 * earlier + v)
        assert abs(Fraction(kernel.means[k, 0].item()) - exact) <= abs(exact) * Fraction(1e-15)


def test_the_size_of_a_prediction_is_that_of_its_terms():
    """The farthest mean and the widest deviation, times A, and B."""
    diffusion = Diffusion(LINE, RectifiedFlow())
    assert diffusion.target_size(DATA, 0.3) == pytest.approx(2 + 0.3**0.5)
    assert diffusion.target_size(NOISE, 0.3) == 1
    assert diffusion.target_size(FLOW, 0.3) == pytest.approx(3 + 0.3**0.5)
