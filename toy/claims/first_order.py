"""Order 1 by quadrature: what least squares removes, and what it takes off the denoising loss."""

from collections.abc import Callable

import torch
from torch import Tensor

from theory.statistics.least_squares import XR, XX, YR, YY, explained_variance, ridge_slopes
from toy.judge.claim import ExactClaim, Mutant
from toy.numerics.quadrature import expectation
from toy.numerics.regression_moments import Feature, Regression
from toy.strategies.models import (
    RegressionCase,
    StateCase,
    affine_cases,
    regression_cases,
    state_cases,
)

FEATURES: dict[str, Feature] = {
    "x": lambda x, y: x,
    "y": lambda x, y: y,
    "x^2": lambda x, y: x**2,
    "cos x": lambda x, y: torch.cos(x),
}

Slopes = Callable[[Regression], Tensor]
Offset = Callable[[Regression, Tensor], Tensor]


def least_squares(of: Regression) -> Tensor:
    """The slopes of the package from exact moments, (2, 1)."""
    return ridge_slopes(of.products)


def centring(of: Regression, slopes: Tensor) -> Tensor:
    """What keeps the mean of the correction."""
    return of.offset(slopes)


def removal_error(
    case: RegressionCase, slopes: Slopes = least_squares, offset: Offset = centring
) -> float:
    """What is left of an affine misfit, E(y_theta - correction - E[y|x_t])^2, in units of the target."""
    of = _regression(case)
    found = slopes(of)
    return (of.misfit(found, offset(of, found)) / _size(of, found)).item()


def fall_error(
    case: RegressionCase, slopes: Slopes = least_squares, offset: Offset = centring
) -> float:
    """The denoising loss falls by (E r)^2 + c.C^{-1} c, whatever the misfit and the features.

    c.C^{-1} c is the maximum of what slopes explain, where their rounding does not matter.
    """
    of = _regression(case)
    found, nothing = slopes(of), torch.zeros(2, 1, dtype=torch.float64)
    predicted = of.centre[2] ** 2 + explained_variance(least_squares(of), of.products)
    before = of.loss(nothing, torch.zeros(1, dtype=torch.float64))
    fall = before - of.loss(found, offset(of, found))
    return ((fall - predicted).abs() / _size(of, found)).item()


def order_error(
    case: RegressionCase, slopes: Slopes = least_squares, offset: Offset = centring
) -> float:
    """By how much the loss after the best constant and slopes exceeds that after the constant."""
    of = _regression(case)
    found, nothing = slopes(of), torch.zeros(2, 1, dtype=torch.float64)
    excess = of.loss(found, offset(of, found)) - of.loss(nothing, of.offset(nothing))
    return excess.clamp(min=0).item()


def own_cross(of: Regression) -> Tensor:
    """E f (y_theta - E[y|x_t])."""
    return of.own_cross()


def cross_error(case: RegressionCase, own: Slopes = own_cross) -> float:
    """The known target's E f r is that of the model's own error."""
    of = _regression(case)
    return (of.raw_products[[XR, YR], 0] - own(of)).abs().max().item()


def stein_error(
    case: StateCase,
    right: Callable[[float, Tensor, Tensor], Tensor] = lambda sigma, value, slope: sigma * slope,
) -> float:
    """E[e phi(x_t)] = sigma E[phi'(x_t)] for a polynomial; E[e|x_t] is Bayes', of no score."""
    diffusion, t = case.diffusion, case.times.t
    alpha_t, sigma_t = diffusion.scales(t)

    def sides(x: Tensor) -> Tensor:
        value, slope = case.polynomial(x)
        e = (x - alpha_t * diffusion.posterior_mean(x, t)) / sigma_t
        return torch.cat([e * value, right(sigma_t, value, slope)], 1)

    integral = expectation(diffusion.marginal(t), sides)
    left, by_parts = integral.value
    return ((left - by_parts).abs() / integral.magnitude.sum().clamp(min=1e-300)).item()


def _regression(case: RegressionCase) -> Regression:
    first, second = (FEATURES[name] for name in case.features)
    return Regression(case.model, case.misfit.times.t, first, second)


def _size(of: Regression, slopes: Tensor) -> Tensor:
    """Of what is subtracted from what, in the unit: slopes of collinear features cancel."""
    return 1 + slopes[:, 0] ** 2 @ of.products[[XX, YY], 0]


def _apart(of: Regression) -> Tensor:
    """Each feature regressed on by itself."""
    return (of.products[[XR, YR]] / of.products[[XX, YY]].clamp(min=1e-300)).nan_to_num()


def _scale_only(of: Regression) -> Tensor:
    """Epsilon scaling: of the second feature alone."""
    return _apart(of) * torch.tensor([[0.0], [1.0]], dtype=torch.float64)


def _raw(of: Regression) -> Tensor:
    return ridge_slopes(of.raw_products)


def _features_not_centred(of: Regression, slopes: Tensor) -> Tensor:
    return of.centre[2:]


def _residual_not_centred(of: Regression, slopes: Tensor) -> Tensor:
    return of.offset(slopes) - of.centre[2]


def _about_the_mean(of: Regression) -> Tensor:
    return of.own_cross() - of.centre[:2] * of.centre[2]


AFFINE = affine_cases(("x", "y"))
CASES = regression_cases(tuple(FEATURES))
STATES = state_cases()

CLAIMS = (
    ExactClaim(
        "stein-identity", "8", "E[e phi(x_t)] = sigma E[phi'(x_t)] for polynomials", STATES,
        stein_error,
        (
            Mutant("sigma-squared", lambda c: stein_error(c, lambda s, value, slope: s**2 * slope)),
            Mutant("no-sigma", lambda c: stein_error(c, lambda s, value, slope: slope)),
            Mutant("not-differentiated", lambda c: stein_error(c, lambda s, value, slope: s * value)),
        ),
    ),
    ExactClaim(
        "cross-moments", "8", "regressing on y_theta - y is regressing on the model's own error",
        CASES, cross_error,
        (Mutant("cross-about-the-mean", lambda c: cross_error(c, _about_the_mean)),),
        share=0.5,
    ),
    ExactClaim(
        "affine-removed", "8", "an affine misfit of an exact model is removed exactly", AFFINE,
        removal_error,
        (
            Mutant("features-apart", lambda c: removal_error(c, _apart)),
            Mutant("epsilon-scaling-alone", lambda c: removal_error(c, _scale_only)),
            Mutant("features-not-centred", lambda c: removal_error(c, offset=_features_not_centred)),
            Mutant("residual-not-centred", lambda c: removal_error(c, offset=_residual_not_centred)),
        ),
    ),
    ExactClaim(
        "explained-fall", "8", "order 1 lowers the loss by (E r)^2 + c.C^-1 c, any misfit", CASES,
        fall_error,
        (
            Mutant("explained-apart", lambda c: fall_error(c, _apart)),
            Mutant("explained-raw", lambda c: fall_error(c, _raw)),
            Mutant("explained-not-centred", lambda c: fall_error(c, offset=_features_not_centred)),
        ),
        share=0.5,
    ),
    ExactClaim(
        "order-1-over-0", "8", "order 1 never takes off less than order 0", CASES, order_error,
        (
            Mutant("slopes-added", lambda c: order_error(c, lambda of: -least_squares(of))),
            Mutant("order-1-not-centred", lambda c: order_error(c, offset=_features_not_centred)),
        ),
        share=0.5,
    ),
)  # fmt: skip
