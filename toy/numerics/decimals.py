"""A mixture's density and its derivatives in decimal arithmetic, as a reference for floating point.

Weights, means, eigenvalues and eigenvectors are taken as they are stored, and everything else is
computed from them in ``DIGITS`` digits, from the definitions and without the code of the mixture.
"""

from dataclasses import dataclass
from decimal import Context, Decimal, localcontext

import torch
from jaxtyping import Float64
from torch import Tensor

from toy.mixtures.mixture import GaussianMixture, float64

DIGITS = 60
TWO_PI = 2 * Decimal("3.14159265358979323846264338327950288419716939937510582097494459")

Vector = list[Decimal]


@dataclass(frozen=True)
class DensityValues:
    """log q, P(k|x), grad log q and Hess log q at one point, each rounded once."""

    log_density: Float64[Tensor, ""]
    responsibilities: Float64[Tensor, "k"]
    score: Float64[Tensor, "d"]
    hessian: Float64[Tensor, "d d"]


def values_at(law: GaussianMixture, x: Float64[Tensor, "d"]) -> DensityValues:
    """Density and derivatives at one point of a mixture without batch."""
    with localcontext(Context(prec=DIGITS)):
        at = _decimals(x)
        parts = [
            _component(Decimal(weight), at, _decimals(mean), _decimals(variances), turn.tolist())
            for weight, mean, variances, turn in zip(
                law.log_weights.tolist(), law.means, law.variances, law.axes, strict=True
            )
        ]
        return _mixed(*zip(*parts, strict=True))


def _decimals(x: Tensor) -> Vector:
    return [Decimal(value) for value in x.tolist()]


def _component(
    log_weight: Decimal, x: Vector, mean: Vector, variances: Vector, turn: list[list[float]]
) -> tuple[Decimal, Vector, list[Vector]]:
    """log(w N), grad log N and the precision; eigenvectors are the columns of ``turn``."""
    axes = [[Decimal(entry) for entry in axis] for axis in zip(*turn, strict=True)]
    at = [a - b for a, b in zip(x, mean, strict=True)]
    z = [_dot(axis, at) for axis in axes]
    halves = (a * a / v + (TWO_PI * v).ln() for a, v in zip(z, variances, strict=True))
    slopes = [-a / v for a, v in zip(z, variances, strict=True)]
    score = [_dot(column, slopes) for column in zip(*axes, strict=True)]
    inverses = [1 / v for v in variances]
    precision = [
        [_dot(inverses, [a[i] * a[j] for a in axes]) for j in range(len(x))] for i in range(len(x))
    ]
    return log_weight - sum(halves, Decimal(0)) / 2, score, precision


def _mixed(
    logs: tuple[Decimal, ...], scores: tuple[Vector, ...], precisions: tuple[list[Vector], ...]
) -> DensityValues:
    top = max(logs)
    shares = [(log - top).exp() for log in logs]
    total = sum(shares, Decimal(0))
    p = [share / total for share in shares]
    axes = range(len(scores[0]))
    score = [_dot(p, [s[i] for s in scores]) for i in axes]
    hessian = [
        [
            _dot(p, [s[i] * s[j] - q[i][j] for s, q in zip(scores, precisions, strict=True)])
            - score[i] * score[j]
            for j in axes
        ]
        for i in axes
    ]
    return DensityValues(
        _rounded(top + total.ln()), _rounded(p), _rounded(score), _rounded(hessian)
    )


def _dot(a: "Vector | tuple[Decimal, ...]", b: Vector) -> Decimal:
    return sum((x * y for x, y in zip(a, b, strict=True)), Decimal(0))


def _rounded(values: "Decimal | Vector | list[Vector]") -> Tensor:
    if isinstance(values, Decimal):
        return float64(float(values))
    return torch.stack([_rounded(value) for value in values])
