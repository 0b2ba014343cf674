"""From estimates to what is applied: smooth, shrink, and leave alone what is not certain.

The gain of a shift s at one time is 2 s.eta - |s|^2. It is estimated by leaving out groups of
images: the shift made from all other groups is tried on group g, whose mean unit u_g is
independent of it, 2 s_{-g}.u_g - |s_{-g}|^2. The smoothing is the one with the largest such gain of
the whole, and the certificates are Student's lower bounds over the groups, at a level divided by
the number of times so that they hold together. They are asymptotic in the number of images, and
slightly low, as each shift tried is made from fewer images than the one that is applied.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from scipy.stats import t as student
from torch import Tensor

from theory.estimates import LEVEL
from theory.moments import Moments
from theory.shrinkage import Policy
from theory.smoothing import smoothers

LEAST_GROUPS = 3
"""With fewer groups of images nothing is certain."""


@dataclass(frozen=True)
class Decision:
    """What to apply: shift = weight * estimate, (T, *shape); and its certificates, (T,)."""

    estimate: Float64[Tensor, "time *shape"]
    weights: Float64[Tensor, "time"]
    certificates: Float64[Tensor, "time"]


def decide(
    moments: list[Moments],
    log_snr: Float64[Tensor, "time"],
    importance: Float64[Tensor, "time"],
    policy: Policy,
) -> Decision:
    """The decision for the moments of each time.

    Args:
        log_snr: of the times.
        importance: what a unit of gain at each time is worth, for the choice of the smoothing.
        policy: how careful to be.
    """
    groups = _group_means(moments)
    common = torch.tensor([m.common_error for m in moments], dtype=torch.float64)
    candidates = [torch.eye(len(moments), dtype=torch.float64)]
    if policy.smoothed:
        errors = torch.tensor([m.error_energy() for m in moments], dtype=torch.float64)
        candidates = smoothers(log_snr, errors)
    gains = [_gains(groups, matrix, common, policy) for matrix in candidates]
    best = max(range(len(gains)), key=lambda i: (gains[i].mean(0) @ importance).item())
    certificates = _lower_bounds(gains[best])
    estimate = candidates[best] @ torch.stack([m.mean.flatten() for m in moments])
    weights = _weights(
        estimate, candidates[best] @ groups, _shared(candidates[best], common), policy
    )
    if policy.certified:
        weights = torch.where(certificates > 0, weights, 0.0)
    return Decision(estimate.reshape(len(moments), *moments[0].mean.shape), weights, certificates)


def _group_means(moments: list[Moments]) -> Float64[Tensor, "group time d"]:
    """Mean units of the groups that have images at every time."""
    counts = torch.stack([m.count for m in moments], 1)
    used = (counts > 0).all(1)
    totals = torch.stack([m.total.flatten(1) for m in moments], 1)
    return totals[used] / counts[used][..., None]


def _shared(
    matrix: Float64[Tensor, "time time"], common: Float64[Tensor, "time"]
) -> Float64[Tensor, "time"]:
    """Energy that an error common to all units has after smoothing, at most."""
    return (matrix.abs() @ common.sqrt()) ** 2


def _weights(
    estimate: Float64[Tensor, "time d"],
    groups: Float64[Tensor, "group time d"],
    common: Float64[Tensor, "time"],
    policy: Policy,
) -> Float64[Tensor, "time"]:
    """Shrinkage of an estimate whose error is seen in the spread of its groups."""
    n = len(groups)
    if n < 2:
        return torch.zeros(len(estimate), dtype=torch.float64)
    errors = groups.var(0).sum(1) / n + common
    weights = [policy.shrinkage(e, v) for e, v in zip(estimate, errors.tolist(), strict=True)]
    return torch.tensor(weights, dtype=torch.float64)


def _gains(
    groups: Float64[Tensor, "group time d"],
    matrix: Float64[Tensor, "time time"],
    common: Float64[Tensor, "time"],
    policy: Policy,
) -> Float64[Tensor, "group time"]:
    """Gain on each group's own mean, not smoothed, of the shift that all other groups would make."""
    n = len(groups)
    gains = torch.full(groups.shape[:2], -math.inf, dtype=torch.float64)
    if n < LEAST_GROUPS:
        return gains
    smooth, shared = matrix @ groups, _shared(matrix, common)
    for g in range(n):
        others = torch.cat([smooth[:g], smooth[g + 1 :]])
        estimate = others.mean(0)
        weights = _weights(estimate, others, shared, policy)
        shift = weights[:, None] * estimate
        optimism = 2 * weights * torch.sqrt(shared * common)
        gains[g] = (2 * shift * groups[g] - shift**2).sum(1) - optimism
    return gains


def _lower_bounds(gains: Float64[Tensor, "group time"]) -> Float64[Tensor, "time"]:
    """Student's lower bounds of the mean over groups that hold together over the times.

    Where the shift is mostly noise, each product of two groups enters the gains of both, and the
    variance of their mean is twice what their spread says; it is doubled throughout.
    """
    n, times = gains.shape
    if not gains.isfinite().all():
        return torch.full((times,), -math.inf, dtype=torch.float64)
    quantile = float(student.isf((1 - LEVEL) / times, n - 1))
    return gains.mean(0) - quantile * gains.std(0) * math.sqrt(2 / n)
