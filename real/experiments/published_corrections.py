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
from theory.calibration.result import Calibration
from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import NOISE, Target, convert
from theory.forward.forward_pass import observe
from theory.forward.images import DEFAULT_BATCH, Conditions, Images, ImageSet
from theory.forward.keyed_noise import Draws
from theory.forward.network import Network, Predict
from theory.support.errors import InputError

Correct = Callable[[Tensor, Tensor, Tensor], Tensor]
"""correct(x_t, t, y) -> what to predict in place of y, for x_t and y (b, *shape), t (b,) or (1,)."""

Q, F, QQ, QF, FF = range(5)
"""Positions of the sums: of a damaged network's noise prediction q, and of what it should be, f."""


def nothing(x_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
    """The prediction as it is."""
    return y


def calibrated(calibration: Calibration) -> Correct:
    """What a calibration makes of a prediction."""
    return lambda x_t, t, y: y - calibration.correction(x_t, t, y)


class Corrected:
    """A network with a correction: called exactly as ``predict(x_t, t, condition=None)``."""

    def __init__(self, predict: Predict, correct: Correct) -> None:
        self.predict, self.correct = predict, correct

    def __call__(
        self, x_t: Float[Tensor, "b *shape"], t: Real[Tensor, "b"], condition: Any = None
    ) -> Float[Tensor, "b *shape"]:
        y = self.predict(x_t, t) if condition is None else self.predict(x_t, t, condition)
        return self.correct(x_t, t, y)


@dataclass(frozen=True, eq=False)
class ChannelAffine:
    """e' = scale e - offset on the noise prediction, linear in log-SNR between the times.

    Before the first and after the last time it is that of the first and the last.

    Attributes:
        schedule, target: of the network.
        times: (T,), rising in noise.
        scale, offset: (T, c).
    """

    schedule: Schedule
    target: Target
    times: Real[Tensor, "time"]
    scale: Float64[Tensor, "time c"]
    offset: Float64[Tensor, "time c"]

    def __call__(
        self, x_t: Float[Tensor, "b *shape"], t: Real[Tensor, "k"], y: Float[Tensor, "b *shape"]
    ) -> Float[Tensor, "b *shape"]:
        """The corrected prediction, in the network's own target."""
        t = t.expand(len(y))
        noise = convert(y, x_t, t, self.target, NOISE, self.schedule)
        scale, offset = (self._at(t, v, noise) for v in (self.scale, self.offset))
        return convert(scale * noise - offset, x_t, t, NOISE, self.target, self.schedule).to(y)

    def _at(self, t: Tensor, values: Tensor, like: Tensor) -> Tensor:
        grid = -self.schedule.log_snr(self.times)
        wanted = -self.schedule.log_snr(t.cpu())
        right = torch.searchsorted(grid, wanted).clamp(1, len(grid) - 1)
        later = (wanted - grid[right - 1]) / (grid[right] - grid[right - 1])
        later = later.clamp(0, 1)[:, None]
        between = torch.lerp(values[right - 1], values[right], later)
        return between.reshape(*between.shape, *(1 for _ in like.shape[2:])).to(like)


@dataclass(frozen=True, eq=False)
class Sums:
    """Means over images and pixels per time and channel, from which all corrections are fitted.

    Attributes:
        means: (T, 5, c), of q, f, q^2, q f and f^2.
        evaluations: how many network evaluations they took, those of a reference included.
    """

    schedule: Schedule
    target: Target
    times: Real[Tensor, "time"]
    means: Float64[Tensor, "time 5 c"]
    evaluations: int


def measure(
    predict: Predict,
    schedule: Schedule,
    target: Target,
    images: Images,
    times: Real[Tensor, "time"],
    *,
    seed: int,
    conditions: Conditions | None = None,
    reference: Predict | None = None,
    batch_size: int = DEFAULT_BATCH,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
) -> Sums:
    """One pass over the images, on the noise that ``calibrate`` uses with the same seed.

    Args:
        predict: the network that is to be corrected.
        times: at least two of finite log-SNR.
        conditions: one for each image, for a network that takes them.
        reference: the full network; None to hold the prediction against the known noise.

    Raises:
        InputError: fewer than two times, or what ``observe`` and ``batches`` refuse.
    """
    times = times[torch.argsort(-schedule.log_snr(times))]
    if len(times) < 2:
        raise InputError(f"times: expected at least two, got {len(times)}")
    totals: list[Tensor] = [torch.zeros(())] * len(times)
    evaluations = 0
    for seen in observe(
        Network(predict, schedule, target, reference), ImageSet(images, conditions, batch_size),
        times, Draws(seed, PURPOSE), device=device, on_progress=on_progress,
    ):  # fmt: skip
        k, t = seen.time_index, times[seen.time_index]
        q = convert(seen.prediction, seen.x_t, t, target, NOISE, schedule)[0]
        f = seen.noise[0]
        if seen.reference is not None:
            f = convert(seen.reference, seen.x_t, t, target, NOISE, schedule)[0]
        sums = torch.stack([q, f, q * q, q * f, f * f]).flatten(3).mean(3).sum(1).cpu()
        totals[k] = totals[k] + torch.cat([sums, torch.full((1, sums.shape[1]), float(len(q)))])
        evaluations += len(q) * (1 if reference is None else 2)
    all_totals = torch.stack(totals)
    return Sums(schedule, target, times, all_totals[:, :5] / all_totals[:, 5:], evaluations)


def epsilon_scaling(sums: Sums) -> ChannelAffine:
    """One number per time; the sums are against the known noise."""
    scale = sums.means[:, QF].sum(1, keepdim=True) / sums.means[:, QQ].sum(1, keepdim=True)
    return _affine(sums, scale.expand_as(sums.means[:, Q]), torch.zeros_like(sums.means[:, Q]))


def timestep_aware_scale(sums: Sums) -> ChannelAffine:
    """One number per time and channel; the sums are against the full network."""
    return _affine(sums, sums.means[:, QF] / sums.means[:, QQ], torch.zeros_like(sums.means[:, Q]))


def mean_and_correlation(sums: Sums) -> ChannelAffine:
    """PTQD's; the sums are against the full network."""
    q, f, qf, ff = (sums.means[:, k] for k in (Q, F, QF, FF))
    slope = (qf - q * f).sum(1, keepdim=True) / (ff - f * f).sum(1, keepdim=True)
    return _affine(sums, (1 / slope).expand_as(q), (q - slope * f) / slope)


def _affine(sums: Sums, scale: Tensor, offset: Tensor) -> ChannelAffine:
    return ChannelAffine(sums.schedule, sums.target, sums.times, scale, offset)
