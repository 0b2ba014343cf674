"""From estimates to what is applied: smooth, shrink, and leave alone what is not certain.

The gain of a shift s at one time is 2 s.eta - |s|^2. It is estimated by leaving out groups of
images: the shift made from all other groups is tried on group g, whose mean unit u_g is
independent of it, 2 s_{-g}.u_g - |s_{-g}|^2. How much to smooth, and whether to shrink the whole or
each band of frequencies, is what has the largest such gain. The certificates are lower bounds over
the groups, asymptotic in the number of images, and slightly low, as each shift tried is made from
fewer images than the one that is applied.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.statistics.image_bases import Partition, by_dct_octave, has_dct_bands, undivided
from theory.statistics.lower_bounds import LEAST_GROUPS, lower_bounds
from theory.statistics.moments import Moments
from theory.statistics.shrinkage import Policy
from theory.statistics.smoothing import STRENGTHS, smoothers

AT_ONCE = 2**20
"""Numbers of left-out estimates that are made at once."""


@dataclass(frozen=True)
class SelectedShift:
    """What to apply at each time, and what is known of it.

    Attributes:
        estimate: (T, *shape), smoothed, before shrinking.
        shift: (T, *shape), what is applied.
        weights: (T,), the share of the estimate in the shift, shift.estimate / |estimate|^2.
        gains: (G, T), gain of what is applied on each group of images, made from all others.
        certificates: (T,), lower bounds of the gain of the shift where it is or would be applied.
        smoothing: strength of the smoothing; 0 for none.
        bands: number of bands that were shrunk apart.
    """

    estimate: Float64[Tensor, "time *shape"]
    shift: Float64[Tensor, "time *shape"]
    weights: Float64[Tensor, "time"]
    gains: Float64[Tensor, "group time"]
    certificates: Float64[Tensor, "time"]
    smoothing: float
    bands: int


@dataclass(frozen=True, eq=False)
class _ShiftTried:
    """One way of making a shift: smooth over times, then shrink cell by cell.

    Everything is in the coordinates of the cells; ``common`` is the energy, at each time, of an
    error that all units share, and ``shared`` what it is at most after smoothing.
    """

    strength: float
    matrix: Float64[Tensor, "time time"]
    cells: Partition
    policy: Policy
    common: Float64[Tensor, "time"]

    @cached_property
    def shared(self) -> Float64[Tensor, "time"]:
        """At most the common error's energy after smoothing, at each time."""
        return (self.matrix.abs() @ self.common.sqrt()) ** 2

    def weights(
        self, estimate: Float64[Tensor, "*some time d"], errors: Float64[Tensor, "*some time cell"]
    ) -> Float64[Tensor, "*some time cell"]:
        """Shrinkage of an estimate with these error energies of its own."""
        share = torch.bincount(self.cells.index).double() / len(self.cells.index)
        return self.policy.shrinkage(
            self.cells.energies(estimate), errors + self.shared[:, None] * share
        )

    def gains(self, groups: Float64[Tensor, "group time d"]) -> Float64[Tensor, "group time"]:
        """Gain on each group's own mean, not smoothed, of the shift that all others would make."""
        n = len(groups)
        if n < LEAST_GROUPS:
            return torch.full(groups.shape[:2], -math.inf, dtype=torch.float64)
        optimism = 2 * torch.sqrt(self.shared * self.common)
        total, energy = self.matrix @ groups.sum(0), self._smooth_energies(groups)
        gains = []
        for some in _at_once(groups):
            estimate = (total - self.matrix @ groups[some]) / (n - 1)
            mean_energy = self.cells.energies(estimate)
            errors = _error_of_mean(energy.sum(0) - energy[some], mean_energy, n - 1)
            weights = self.weights(estimate, errors)
            shift = weights[..., self.cells.index] * estimate
            gain = (2 * shift * groups[some] - shift**2).sum(2)
            gains.append(gain - weights.amax(2) * optimism)
        return torch.cat(gains)

    def conclude(
        self, mean: Float64[Tensor, "time d"], groups: Float64[Tensor, "group time d"]
    ) -> tuple[Float64[Tensor, "time d"], Float64[Tensor, "time d"]]:
        """The smoothed estimate and the shift, from the mean of all images."""
        n, estimate = len(groups), self.matrix @ mean
        if n < 2:
            return estimate, torch.zeros_like(estimate)
        mean_energy = self.cells.energies(self.matrix @ groups.mean(0))
        errors = _error_of_mean(self._smooth_energies(groups).sum(0), mean_energy, n)
        return estimate, self.weights(estimate, errors)[:, self.cells.index] * estimate

    def _smooth_energies(
        self, groups: Float64[Tensor, "group time d"]
    ) -> Float64[Tensor, "group time cell"]:
        """Energies of the groups' own estimates."""
        return torch.cat([self.cells.energies(self.matrix @ groups[g]) for g in _at_once(groups)])


def _at_once(groups: Tensor) -> Sequence[Tensor]:
    """Positions of groups, as many together as memory should hold beside them all."""
    return torch.arange(len(groups)).split(max(1, AT_ONCE // groups[0].numel()))


def _error_of_mean(sum_of_energies: Tensor, energy_of_mean: Tensor, n: int) -> Tensor:
    """Error energy of a mean of n from their spread."""
    return (sum_of_energies / n - energy_of_mean).clamp(min=0) / (n - 1)


def select_shift(
    moments: Sequence[Moments],
    log_snr: Float64[Tensor, "time"],
    importance: Float64[Tensor, "time"],
    policy: Policy,
    statements: int | None = None,
) -> SelectedShift:
    """The shift that left-out groups of images like best, from the moments of each time.

    Args:
        moments: of each time.
        log_snr: of the times.
        importance: what a unit of gain at each time is worth.
        policy: how careful to be.
        statements: how many certificates are to hold together (default: one for each time).
    """
    candidate, gains = _best(moments, log_snr, importance, policy)
    bounds = lower_bounds(gains, statements or len(moments))
    mean = torch.stack([m.mean.flatten() for m in moments])
    estimate, shift = map(
        candidate.cells.flat,
        candidate.conclude(
            candidate.cells.coordinates(mean), group_means(moments, candidate.cells)
        ),
    )
    applied = policy.applies(bounds)
    shift = torch.where(applied[:, None], shift, 0.0)
    size = estimate.square().sum(1)
    share = (shift * estimate).sum(1) / torch.where(size > 0, size, 1.0)
    shape = (len(moments), *moments[0].mean.shape)
    return SelectedShift(
        estimate.reshape(shape), shift.reshape(shape), share, torch.where(applied, gains, 0.0), bounds,
        candidate.strength, candidate.cells.count,
    )  # fmt: skip


def _best(
    moments: Sequence[Moments],
    log_snr: Float64[Tensor, "time"],
    importance: Float64[Tensor, "time"],
    policy: Policy,
) -> tuple[_ShiftTried, Float64[Tensor, "group time"]]:
    """The candidate of the largest gain of the whole, and its gains."""
    shape = tuple(moments[0].mean.shape)
    tried = []
    matrices = _smoothing_matrices(moments, log_snr, policy)
    ways = [undivided, by_dct_octave] if policy.smoothed and has_dct_bands(shape) else [undivided]
    for cells in (way(shape) for way in ways):
        groups = group_means(moments, cells)
        for candidate in _candidates(moments, matrices, cells, policy):
            tried.append((candidate, candidate.gains(groups)))
    return max(tried, key=lambda pair: (pair[1].mean(0) @ importance).item())


def _smoothing_matrices(
    moments: Sequence[Moments], log_snr: Float64[Tensor, "time"], policy: Policy
) -> Sequence[Float64[Tensor, "time time"]]:
    """One for each strength that is tried."""
    if not policy.smoothed:
        return [torch.eye(len(moments), dtype=torch.float64)]
    errors = torch.tensor([m.error_energy() for m in moments], dtype=torch.float64)
    return smoothers(log_snr, errors)


def _candidates(
    moments: Sequence[Moments],
    matrices: Sequence[Float64[Tensor, "time time"]],
    cells: Partition,
    policy: Policy,
) -> list[_ShiftTried]:
    common = torch.tensor([m.common_error for m in moments], dtype=torch.float64)
    return [
        _ShiftTried(strength, matrix, cells, policy, common)
        for strength, matrix in zip(STRENGTHS, matrices, strict=False)
    ]


def group_means(moments: Sequence[Moments], cells: Partition) -> Float64[Tensor, "group time d"]:
    """Mean units of the groups that have images at every time, in the coordinates of the cells."""
    counts = torch.stack([m.count for m in moments], 1)
    used = (counts > 0).all(1)
    means = torch.empty(int(used.sum()), len(moments), moments[0].total[0].numel()).double()
    for k, m in enumerate(moments):
        means[:, k] = cells.coordinates(m.total.flatten(1)[used] / counts[used, k, None])
    return means
