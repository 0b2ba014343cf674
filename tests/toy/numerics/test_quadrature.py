"""Expectations against closed forms, their errors against true errors, and what is not resolved."""

import math

import pytest
import torch
from scipy.special import erfcx

from toy.mixtures.mixture import GaussianMixture
from toy.numerics import quadrature
from toy.numerics.quadrature import expectation
from toy.numerics.reported_errors import UnresolvedError
from toy.strategies.mixtures import Components

WEIGHTS, MEANS, VARIANCES = (0.6, 0.3, 0.1), (-2.0, 1.5, 30.0), (0.15, 4.0, 1e-6)
LINE = GaussianMixture.diagonal(
    *(torch.tensor(x, dtype=torch.float64) for x in (WEIGHTS, [[m] for m in MEANS], VARIANCES))
)
PLANE = Components(
    (0.5, 0.3, 0.2),
    ((-1.0, 0.5), (2.0, 0.0), (0.0, -2.0)),
    ((0.4, 1.5), (1.0, 0.3), (0.7, 0.7)),
    (0.5, 2.0, 0.0),
).mixture()
NORMAL = GaussianMixture.diagonal(torch.ones(1), torch.zeros(1, 1), torch.ones(1))
NORMAL_PLANE = GaussianMixture.diagonal(torch.ones(1), torch.zeros(1, 2), torch.ones(1))


def moments_on_the_line():
    """E x^k for k = 0 ... 4 from those of each normal component."""
    rows = [
        (1, m, m**2 + v, m**3 + 3 * m * v, m**4 + 6 * m**2 * v + 3 * v**2)
        for m, v in zip(MEANS, VARIANCES, strict=True)
    ]
    return torch.tensor(WEIGHTS, dtype=torch.float64) @ torch.tensor(rows, dtype=torch.float64)


def line_error(law):
    integral = expectation(law, lambda x: x ** torch.arange(5))
    return ((integral.value - moments_on_the_line()).abs() / integral.magnitude).max().item()


def test_moments_of_a_mixture_on_the_line():
    assert line_error(LINE) < 1e-10


def test_moments_of_another_mixture_on_the_line_are_told_apart():
    moved = GaussianMixture.diagonal(torch.exp(LINE.log_weights), LINE.means + 1e-3, LINE.variances)
    assert line_error(moved) > 1e-5


def plane_error(law):
    """E x and E x x^T in the plane, with full covariances."""
    weights, means = torch.exp(PLANE.log_weights), PLANE.means
    second = PLANE.covariances() + means[:, :, None] * means[:, None, :]
    exact = torch.cat([weights @ means, torch.einsum("k,kij->ij", weights, second).flatten()])
    integral = expectation(
        law, lambda x: torch.cat([x, (x[:, :, None] * x[:, None, :]).flatten(1)], 1)
    )
    return ((integral.value - exact).abs() / integral.magnitude).max().item()


def test_moments_of_a_mixture_in_the_plane():
    assert plane_error(PLANE) < 1e-10


def test_moments_of_another_mixture_in_the_plane_are_told_apart():
    unturned = GaussianMixture(PLANE.log_weights, PLANE.means, PLANE.variances)
    assert plane_error(unturned) > 1e-2


def test_magnitude_is_the_mean_of_the_absolute_value():
    integral = expectation(NORMAL, lambda x: x**3)
    assert abs(integral.value.item()) < 1e-14
    assert integral.magnitude.item() == pytest.approx(4 / math.sqrt(2 * math.pi), rel=1e-4)


def peak(width):
    """A peak with poles at i width from the line, as hard as the width is small."""
    return lambda x: width**2 / (width**2 + x[:, :1] ** 2)


def peak_mean(width):
    return width * math.sqrt(math.pi / 2) * erfcx(width / math.sqrt(2))


def peak_errors(law, width, rtol):
    """The error that is reported, and the true one."""
    integral = expectation(law, peak(width), rtol=rtol)
    return integral.error, abs(integral.value.item() - peak_mean(width))


@pytest.mark.parametrize("rtol", [1e-1, 1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize(
    ("law", "width"), [(NORMAL, 0.02), (NORMAL_PLANE, 0.1)], ids=["line", "plane"]
)
def test_the_error_is_no_less_than_the_true_one(law, width, rtol):
    reported, true = peak_errors(law, width, rtol)
    assert true <= reported <= rtol * 2 * peak_mean(width)


def test_an_idle_error_would_be_told_apart():
    reported, true = peak_errors(NORMAL_PLANE, 0.1, 0.1)
    assert true > 1e-6
    assert not true <= reported * 1e-6
    assert expectation(NORMAL, peak(0.02)).value.item() == pytest.approx(peak_mean(0.02), rel=1e-10)
    assert expectation(NORMAL, peak(0.021)).value.item() != pytest.approx(peak_mean(0.02), rel=1e-2)


def wave(frequency):
    return lambda x: torch.cos(frequency * x[:, :1])


def wave_error(law, frequency, **options):
    value = expectation(law, wave(frequency), **options).value.item()
    return abs(value - math.exp(-(frequency**2) / 2))


STEP_WAVE = 2 * math.pi / quadrature.FIRST_STEP
"""A wave whose period is the step of the first grid."""

ALIAS = 40 * STEP_WAVE
"""A wave that looks constant on the first grid and on those moved by 0.475 and 0.95 of its step."""


@pytest.mark.parametrize("periods", [1, 2, 3])
def test_no_wave_of_few_periods_to_a_step_hides(periods):
    frequency = periods * STEP_WAVE
    assert wave_error(NORMAL_PLANE, frequency) < 1e-11
    assert wave_error(NORMAL_PLANE, frequency, scale=1 / frequency) < 1e-11


def test_a_wave_may_hide_if_its_scale_is_not_given():
    assert wave_error(NORMAL_PLANE, ALIAS) > 0.1


@pytest.mark.parametrize("place", torch.linspace(0, 0.75, 13).tolist())
def test_no_phase_hides_an_error(place):
    """The same peak wherever it lies between two points of the grid."""
    moved = GaussianMixture.diagonal(
        torch.ones(2), torch.tensor([[0.0, 0.0], [3.0 + place, 0.0]]), torch.ones(2)
    )
    fine = expectation(moved, peak(0.2)).value.item()
    for rtol in (1e-1, 1e-2, 1e-4):
        rough = expectation(moved, peak(0.2), rtol=rtol)
        assert abs(rough.value.item() - fine) <= rough.error <= rtol


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_three_grids_tell_the_error_of_a_wave_of_any_phase_along_any_axis(axis):
    """Its period is the step, so that the sums are as large as the wave, whose mean is nothing."""
    law = GaussianMixture.diagonal(torch.ones(1), torch.zeros(1, 3), torch.ones(1))
    phases = 2 * math.pi * torch.linspace(0, 1, 49, dtype=torch.float64)
    found = expectation(
        law, lambda x: torch.cos(STEP_WAVE * x[:, axis : axis + 1] + phases), rtol=10.0, size=1.0
    )
    assert found.value.abs().max() > 0.9, "true values are below 1e-15"
    assert (found.value.abs() <= found.errors + 1e-12).all()


@pytest.mark.parametrize("frequency", [1.0, 10.0, 300.0])
def test_waves_on_the_line_are_right(frequency):
    assert wave_error(NORMAL, frequency) < 1e-11
    assert wave_error(NORMAL, frequency, scale=1 / frequency) < 1e-11


NARROW, PLACE = 1e-4, 0.1234


def narrow_bump(x):
    """One, and a normal density that lies between the first points on the line."""
    z = (x[:, :1] - PLACE) / NARROW
    return 1 + torch.exp(-(z**2) / 2) / (NARROW * math.sqrt(2 * math.pi))


def bump_error(**options):
    variance = 1 + NARROW**2
    density = math.exp(-(PLACE**2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
    return abs(expectation(NORMAL, narrow_bump, **options).value.item() - 1 - density)


def test_a_narrow_bump_is_seen_when_its_scale_is_given():
    assert bump_error(scale=NARROW) < 1e-11
    assert bump_error() > 0.1


def step_function(x):
    return (x[:, :1] > 0.123).to(x.dtype)


UNRESOLVED = {
    "a jump": (NORMAL, step_function, "more than 16384 points"),
    "a jump in the plane": (NORMAL_PLANE, step_function, "more than 16384 points"),
    "an overflow": (NORMAL, lambda x: torch.exp(1000 * x**2), "the integrand overflows"),
    "NaN": (NORMAL, lambda x: torch.log(x), "the integrand overflows"),
}


@pytest.mark.parametrize("name", UNRESOLVED)
def test_what_does_not_settle_is_not_reported(name):
    law, h, message = UNRESOLVED[name]
    with pytest.raises(UnresolvedError, match=message):
        expectation(law, h, most=2**14)


@pytest.mark.parametrize("law", [NORMAL, NORMAL_PLANE], ids=["line", "plane"])
def test_what_settles_is(law):
    second = expectation(law, lambda x: x[:, :1] ** 2, most=2**14)
    assert second.value.item() == pytest.approx(1, rel=1e-12)
    assert expectation(NORMAL, step_function, rtol=0.1, most=2**14).value.item() == pytest.approx(
        0.45, abs=0.1
    )


def correlated(*correlations):
    """Components around the origin with these correlations, of equal weight."""
    count = len(correlations)
    covariances = torch.tensor([[[1.0, r], [r, 1.0]] for r in correlations], dtype=torch.float64)
    ones = torch.ones(count, dtype=torch.float64)
    return GaussianMixture.full(ones, torch.zeros(count, 2, dtype=torch.float64), covariances)


@pytest.mark.parametrize("correlations", [(0.9999,), (-0.999999,), (0.999, -0.999)])
def test_a_nearly_singular_covariance_is_resolved_in_its_own_basis(correlations):
    law = correlated(*correlations)
    integral = expectation(law, law.score)
    assert (integral.value.abs() / integral.magnitude).max() < 1e-11
    products = expectation(law, lambda x: (x * x.flip(1))[:, :1], rtol=1e-9)
    assert products.value.item() == pytest.approx(sum(correlations) / len(correlations), abs=1e-9)


@pytest.mark.parametrize("correlations", [(0.9999,), (0.999, -0.999)])
def test_one_grid_would_not_resolve_it(monkeypatch, correlations):
    monkeypatch.setattr(quadrature, "_rule", lambda *of: (quadrature._grid, quadrature.GRIDS, 4))
    law = correlated(*correlations)
    with pytest.raises(UnresolvedError, match="points wanted"):
        expectation(law, law.score, most=2**16)


def test_own_grids_agree_with_one_grid(monkeypatch):
    law, h = PLANE, lambda x: torch.cat([PLANE.score(x) ** 2, PLANE.responsibilities(x)], 1)
    one = expectation(law, h).value
    monkeypatch.setattr(quadrature, "REFINABLE", 2**40)
    own = expectation(law, h).value
    assert torch.allclose(one, own, rtol=1e-10, atol=0)
    moved = GaussianMixture(law.log_weights, law.means + 0.01, law.variances, law.rotations)
    assert not torch.allclose(one, expectation(moved, h).value, rtol=1e-6, atol=0)


def test_points_are_limited_by_the_caller():
    with pytest.raises(UnresolvedError, match="more than 100 points"):
        expectation(NORMAL, step_function, most=100)


@pytest.mark.parametrize(
    ("rule", "law"),
    [(quadrature._panels, LINE), (quadrature._grid, PLANE), (quadrature._own_grids, PLANE)],
    ids=["panels", "grid", "own grids"],
)
def test_a_rule_takes_as_many_points_as_it_may_and_no_more(rule, law):
    count = len(rule(law, 1.0, 0, 2**40)[0])
    assert len(rule(law, 1.0, 0, count)[0]) == count
    with pytest.raises(UnresolvedError, match=f"more than {count - 1} points"):
        rule(law, 1.0, 0, count - 1)


def test_hermite_is_exact_for_polynomials_only():
    law = GaussianMixture.diagonal(torch.ones(1), torch.ones(1, 4), torch.ones(1))
    x, weights = quadrature.hermite(law, 3)
    assert len(x) == 3**4
    assert (weights @ x.prod(1) ** 2).item() == pytest.approx(2.0**4, rel=1e-12)
    assert (weights @ (x[:, 0] - 1) ** 6).item() != pytest.approx(15.0, rel=1e-2)


def far_away(distance):
    """A narrow component a long way out, and a wide one beside it."""
    weights = torch.tensor([0.25, 0.75], dtype=torch.float64)
    means = torch.tensor([[distance], [distance + 1]], dtype=torch.float64)
    return GaussianMixture.diagonal(weights, means, torch.tensor([1e-16, 9.0]))


def test_a_far_away_mean_costs_the_density_no_digits():
    """At 1e6 the last digit of x is a hundredth of the narrow component's deviation."""
    powers = torch.arange(3)
    near, far = (
        expectation(far_away(distance), lambda x, origin=distance: (x - origin) ** powers).value
        for distance in (0.0, 1e6)
    )
    exact = torch.tensor([1.0, 0.75, 7.5], dtype=torch.float64)
    assert torch.allclose(near, exact, rtol=1e-12, atol=0)
    assert torch.allclose(far, exact, rtol=1e-10, atol=0)


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_far_away_mean_costs_a_grid_no_digits(dimension):
    """At 1e4 the last digit of x is a millionth of the deviation, too much for 2e5 points to average."""
    one = torch.ones(1, dtype=torch.float64)
    law = GaussianMixture.diagonal(one, 1e4 * one.repeat(1, dimension), 1e-12 * one)
    mass = expectation(law, lambda x: torch.ones_like(x[:, :1]), most=2**18).value
    assert mass.item() == pytest.approx(1, rel=1e-12)


def test_a_component_is_followed_to_where_others_are():
    """The mean of N(x; 16, 1)/N(x; 0, 1) under N(0, 1) is one, and rests on what is 16 deviations out."""
    weights = torch.tensor([1.0, 1e-300], dtype=torch.float64)
    law = GaussianMixture.diagonal(weights, torch.tensor([[0.0], [16.0]]), torch.ones(2))
    ratio = expectation(law, lambda x: torch.exp(16 * x - 128)).value
    assert ratio.item() == pytest.approx(1, rel=1e-10)
