"""Order 1 by quadrature: what least squares removes, and what it takes off the denoising loss."""

from collections.abc import Callable

import torch
from torch import Tensor

from theory.statistics.least_squares import XR, XX, YR, YY, explained_variance, ridge_slopes
from toy.judge.claim import exact_claim
from toy.mixtures.mixture import float64
from toy.numerics.quadrature import expectation
from toy.numerics.regression_moments import Feature, RegressionMoments
from toy.numerics.relative_errors import TINY, elementwise_error
from toy.strategies.mixtures import POLYNOMIAL_CASES, PolynomialCase
from toy.strategies.planted_errors import RegressionCase, affine_error_cases, regression_cases

FEATURES: dict[str, Feature] = {
    "x": lambda x, y: x,
    "y": lambda x, y: y,
    "x^2": lambda x, y: x**2,
    "cos x": lambda x, y: torch.cos(x),
}

FindSlopes = Callable[[RegressionMoments], Tensor]
"""From the moments to slopes (2, 1), or to what they are computed from."""

FindOffset = Callable[[RegressionMoments, Tensor], Tensor]
"""From the moments and slopes to the offset, (1,)."""


def least_squares(of: RegressionMoments) -> Tensor:
    """The slopes of ``theory.statistics.least_squares`` from exact moments, (2, 1)."""
    return ridge_slopes(of.products)


def removal_error(
    case: RegressionCase,
    slopes: FindSlopes = least_squares,
    offset: FindOffset = RegressionMoments.offset,
) -> float:
    """What is left of an affine error, E(y_theta - correction - E[y|x_t])^2, in units of the target."""
    of = _regression(case)
    found = slopes(of)
    return (of.own_loss(found, offset(of, found)) / _size(of, found)).item()


def explained_fall_error(
    case: RegressionCase,
    slopes: FindSlopes = least_squares,
    offset: FindOffset = RegressionMoments.offset,
) -> float:
    """The denoising loss falls by (E r)^2 + c.C^{-1} c, whatever the error and the features.

    c.C^{-1} c is computed as the maximum of what slopes explain, on which their rounding has no effect.
    """
    of = _regression(case)
    found, nothing = slopes(of), torch.zeros(2, 1, dtype=torch.float64)
    predicted = of.centre[2] ** 2 + explained_variance(least_squares(of), of.products)
    before = of.loss(nothing, torch.zeros(1, dtype=torch.float64))
    fall = before - of.loss(found, offset(of, found))
    return ((fall - predicted).abs() / _size(of, found)).item()


def order_error(
    case: RegressionCase,
    slopes: FindSlopes = least_squares,
    offset: FindOffset = RegressionMoments.offset,
) -> float:
    """By how much the loss after the best constant and slopes exceeds that after the best constant."""
    of = _regression(case)
    found, nothing = slopes(of), torch.zeros(2, 1, dtype=torch.float64)
    excess = of.loss(found, offset(of, found)) - of.loss(nothing, of.offset(nothing))
    return excess.clamp(min=0).item()


def cross_error(case: RegressionCase, own: FindSlopes = RegressionMoments.own_cross) -> float:
    """E f r of the residual to the known target against that of the model's own error."""
    of = _regression(case)
    return (of.raw_products[[XR, YR], 0] - own(of)).abs().max().item()


def stein_error(
    case: PolynomialCase,
    right: Callable[[float, Tensor, Tensor], Tensor] = lambda sigma, value, slope: sigma * slope,
) -> float:
    """E[e phi(x_t)] = sigma E[phi'(x_t)] for a polynomial; E[e|x_t] is Bayes', of no score."""
    diffusion, t = case.diffusion, case.times.t
    alpha_t, sigma_t = diffusion.scales(t)

    def sides(x: Tensor) -> Tensor:
        """Both integrands."""
        value, slope = case.polynomial(x)
        e = (x - alpha_t * diffusion.posterior_mean(x, t)) / sigma_t
        return torch.cat([e * value, right(sigma_t, value, slope)], 1)

    integral = expectation(diffusion.marginal(t), sides)
    left, by_parts = integral.value
    return elementwise_error(left - by_parts, integral.magnitude.sum())


def _regression(case: RegressionCase) -> RegressionMoments:
    first, second = (FEATURES[name] for name in case.features)
    return RegressionMoments(case.model, case.planted.times.t, first, second)


def _size(of: RegressionMoments, slopes: Tensor) -> Tensor:
    """Size of the terms of the correction, in its unit: slopes of collinear features cancel."""
    return 1 + slopes[:, 0] ** 2 @ of.products[[XX, YY], 0]


def _apart(of: RegressionMoments) -> Tensor:
    """The slopes of each feature by itself."""
    return (of.products[[XR, YR]] / of.products[[XX, YY]].clamp(min=TINY)).nan_to_num()


CASES = regression_cases(tuple(FEATURES))

CLAIMS = (
    exact_claim(
        "stein-identity", "8", "E[e phi(x_t)] = sigma E[phi'(x_t)] for polynomials",
        POLYNOMIAL_CASES, stein_error,
        right={
            "sigma-squared": lambda s, value, slope: s**2 * slope,
            "no-sigma": lambda s, value, slope: slope,
            "not-differentiated": lambda s, value, slope: s * value,
        },
    ),
    exact_claim(
        "cross-moments", "8", "regressing on y_theta - y is regressing on the model's own error",
        CASES, cross_error,
        own={
            "cross-about-the-mean": lambda of: of.own_cross() - of.centre[:2] * of.centre[2],
            "cross-of-the-first": lambda of: of.own_cross()[:1].expand(2),
        },
        share=0.5,
    ),
    exact_claim(
        "affine-removed", "8", "an affine misfit of an exact model is removed exactly",
        affine_error_cases(("x", "y")), removal_error,
        slopes={
            "features-apart": _apart,
            "epsilon-scaling-alone": lambda of: _apart(of) * float64([[0.0], [1.0]]),
        },
        offset={
            "features-not-centred": lambda of, slopes: of.centre[2:],
            "residual-not-centred": lambda of, slopes: of.offset(slopes) - of.centre[2],
        },
    ),
    exact_claim(
        "explained-fall", "8", "order 1 lowers the loss by (E r)^2 + c.C^-1 c, any misfit", CASES,
        explained_fall_error,
        slopes={"explained-apart": _apart, "explained-raw": lambda of: ridge_slopes(of.raw_products)},
        offset={"explained-not-centred": lambda of, slopes: of.centre[2:]}, share=0.5,
    ),
    exact_claim(
        "order-1-over-0", "8", "order 1 never takes off less than order 0", CASES, order_error,
        slopes={"slopes-added": lambda of: -least_squares(of)},
        offset={"order-1-not-centred": lambda of, slopes: of.centre[2:]}, share=0.5,
    ),
)  # fmt: skip
