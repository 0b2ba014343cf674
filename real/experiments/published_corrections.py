"""Corrections of a network's noise prediction that others published, for comparison.

All are affine per channel and time, e' = scale e - offset, with least squares in one pass:

    epsilon scaling           scale = E e_q.e / E|e_q|^2, one number; e the known noise
                              (after Ning et al. 2024, arXiv 2308.15321, who search the number)
    timestep-aware scale      scale = E e_q e_f / E e_q^2 per channel; e_f the full network's
                              prediction (after TAC-Diffusion, Yao et al. 2024, arXiv 2407.03917)
    mean and correlation      e_q = (1 + k) e_f + m + uncorrelated; e' = (e_q - m) / (1 + k), k one
                              number, m per channel (PTQD, He et al. 2023, arXiv 2305.10657)

PTQD lowers a stochastic sampler's variance by that of what is uncorrelated; a deterministic sampler
has none to lower, and that part is left out here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64, Real
from torch import Tensor

from theory.calibration.passes import PURPOSE
from theory.diffusion.targets import NOISE, convert
from theory.estimators.time_grid import TimeGrid
from theory.forward.forward_pass import observe
from theory.forward.images import ImageSet
from theory.forward.keyed_noise import Draws
from theory.forward.network import Network
from theory.support.errors import InputError

Q, F, QQ, QF, FF = range(5)
"""Positions of the means: of a damaged network's noise prediction q, and of what it should be, f."""


@dataclass(frozen=True, eq=False)
class ChannelAffine:
    """e' = scale e - offset on the noise prediction, linear in log-SNR between the times.

    Before the first and after the last time it is that of the first and the last.

    Attributes:
        network: what is corrected; only its schedule and target matter.
        times: (T,), rising in noise.
        scale, offset: (T, c).
    """

    network: Network
    times: Real[Tensor, "time"]
    scale: Float64[Tensor, "time c"]
    offset: Float64[Tensor, "time c"]

    def correction(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Real[Tensor, "k"],
        y: Float[Tensor, "b *shape"],
        condition: Any = None,
    ) -> Float[Tensor, "b *shape"]:
        """What to subtract from predictions y at x_t and times (b,) or (1,), in their own target."""
        schedule, target = self.network.schedule, self.network.target
        t = t.expand(len(y))
        noise = convert(y, x_t, t, target, NOISE, schedule)
        place, pixels = TimeGrid(schedule, self.times).around(t), (1,) * (y.dim() - 2)
        scale, offset = (
            values.reshape(*values.shape, *pixels).to(noise)
            for values in map(place.interpolate, (self.scale, self.offset))
        )
        return y - convert(scale * noise - offset, x_t, t, NOISE, target, schedule).to(y)


@dataclass(frozen=True, eq=False)
class ChannelMeans:
    """Means over images and pixels per time and channel, from which all corrections are fitted.

    Attributes:
        network: what was measured.
        times: (T,), rising in noise.
        means: (T, 5, c), of q, f, q^2, q f and f^2.
        evaluations: how many network evaluations they took, those of a reference included.
    """

    network: Network
    times: Real[Tensor, "time"]
    means: Float64[Tensor, "time 5 c"]
    evaluations: int

    def affine(
        self, scale: Float64[Tensor, "time #c"], offset: Float64[Tensor, "time c"] | None = None
    ) -> ChannelAffine:
        """The correction with this scale, and with this offset or none."""
        offset = torch.zeros_like(self.means[:, Q]) if offset is None else offset
        return ChannelAffine(self.network, self.times, scale.expand_as(offset), offset)


def measure_channels(
    network: Network,
    images: ImageSet,
    times: Real[Tensor, "time"],
    *,
    seed: int,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
) -> ChannelMeans:
    """One pass over the images, on the noise that ``calibrate`` uses with the same seed.

    Args:
        network: the network that is to be corrected. Its reference is the full network; without
            one the prediction is held against the known noise.
        images: with their conditions.
        times: at least two of finite log-SNR.
        seed: key of the noise.
        device: where the network runs (default: where the images are).
        on_progress: called with the number of network evaluations after each call.

    Raises:
        InputError: fewer than two times, or what ``observe`` refuses.
    """
    schedule, target = network.schedule, network.target
    times = times[torch.argsort(-schedule.log_snr(times))]
    if len(times) < 2:
        raise InputError(f"times: expected at least two, got {len(times)}")
    totals: list[Tensor] = [torch.zeros(())] * len(times)
    evaluations = 0
    for seen in observe(
        network, images, times, Draws(seed, PURPOSE), device=device, on_progress=on_progress
    ):
        k, t = seen.time_index, times[seen.time_index]
        q = convert(seen.prediction, seen.x_t, t, target, NOISE, schedule)[0]
        f = seen.noise[0]
        if seen.reference is not None:
            f = convert(seen.reference, seen.x_t, t, target, NOISE, schedule)[0]
        sums = torch.stack([q, f, q * q, q * f, f * f]).flatten(3).mean(3).sum(1).cpu()
        totals[k] = totals[k] + torch.cat([sums, torch.full((1, sums.shape[1]), float(len(q)))])
        evaluations += len(q) * (1 if network.reference is None else 2)
    all_totals = torch.stack(totals)
    return ChannelMeans(network, times, all_totals[:, :5] / all_totals[:, 5:], evaluations)


def fit_epsilon_scaling(found: ChannelMeans) -> ChannelAffine:
    """Fit one scale per time; the means are against the known noise."""
    means = found.means
    return found.affine(means[:, QF].sum(1, keepdim=True) / means[:, QQ].sum(1, keepdim=True))


def fit_timestep_aware_scale(found: ChannelMeans) -> ChannelAffine:
    """Fit one scale per time and channel; the means are against the full network."""
    return found.affine(found.means[:, QF] / found.means[:, QQ])


def fit_mean_and_correlation(found: ChannelMeans) -> ChannelAffine:
    """PTQD's correction; the means are against the full network."""
    q, f, qf, ff = (found.means[:, k] for k in (Q, F, QF, FF))
    slope = (qf - q * f).sum(1, keepdim=True) / (ff - f * f).sum(1, keepdim=True)
    return found.affine(1 / slope, (q - slope * f) / slope)
