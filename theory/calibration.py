"""Calibration of order 0: estimate eta_t once per time, subtract it for ever.

Along the exact reverse process alpha_t times the score is a martingale, so its mean is zero at
every time. For any model, E|s_theta - eta - score|^2 = E|s_theta - score|^2 - 2 eta.E[s_theta] +
|eta|^2, least at eta_t = E[s_theta] (Pang et al. 2023, section 3). In terms of what the network
predicts, y = A_t x_0 + B_t e:

    calibrated prediction = y_theta - eta_t,    eta_t = E[y_theta] - A_t E[x_0].

An estimate of eta_t carries noise, and applying noise does harm; what is subtracted is therefore
the estimate times a weight between 0 and 1 (``theory.shrinkage``).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float, Float64, Int64, Real
from torch import Tensor

from theory.errors import InputError
from theory.estimates import Estimate
from theory.estimators import RESIDUAL, Estimator
from theory.identity import image_ids
from theory.moments import Moments
from theory.observations import DEFAULT_BATCH, Images, Predict, batches, observe
from theory.schedules import Schedule, Times
from theory.shapes import along_batch
from theory.shrinkage import Shrinkage, james_stein
from theory.targets import NOISE, Target

TIME_TOLERANCE = 1e-6
"""Relative room for a time that went through float32 on its way to ``Calibrated``."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """The shift of a network's prediction at each of some times. Plain data.

    Attributes:
        schedule, target: what the network was trained for.
        times: (T,), as given to ``calibrate``.
        shift: (T, *shape), float64, subtracted from the prediction: weight times estimate.
        weights: (T,), the share of the estimate that is applied.
        eta_sq: unbiased |eta_t|^2 with its interval, one per time.
        error_energy: (T,), unbiased E|estimate_t - eta_t|^2, before shrinking.
        image_ids: identities of the images that it was made from, so that no validation uses them.
        provenance: how it was made: estimator, images, draws, seed, and what a program adds.
    """

    schedule: Schedule
    target: Target
    times: Real[Tensor, "time"]
    shift: Float64[Tensor, "time *shape"]
    weights: Float64[Tensor, "time"]
    eta_sq: tuple[Estimate, ...]
    error_energy: Float64[Tensor, "time"]
    image_ids: Int64[Tensor, "image"]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    _order: Tensor = field(init=False, repr=False)
    _log_snr: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        order = torch.argsort(self.schedule.log_snr(self.times), descending=True)
        object.__setattr__(self, "_order", order)
        object.__setattr__(self, "_log_snr", self.schedule.log_snr(self.times[order]))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return tuple(self.shift.shape[1:])

    def with_provenance(self, **more: Any) -> "Calibration":
        """The same calibration with more said of how it was made."""
        return replace(self, provenance={**self.provenance, **more})

    def require(
        self, schedule: Schedule, target: Target, shape: tuple[int, ...], fingerprint: str
    ) -> None:
        """Refuse any network but the one that this calibration was made for.

        Raises:
            InputError: another fingerprint, schedule, target or image shape.
        """
        expected_and_got = {
            "target": (self.target.name, target.name),
            "image shape": (self.shape, shape),
            "schedule": (repr(self.schedule), repr(schedule)),
            "network": (self.provenance.get("fingerprint"), fingerprint),
        }
        for what, (expected, got) in expected_and_got.items():
            if expected != got:
                raise InputError(
                    f"calibration: made for another {what}: expected {expected}, got {got}"
                )
        if self.schedule != schedule:
            raise InputError("calibration: made for another schedule: its table differs")

    def at(self, t: Real[Tensor, "b"]) -> Float64[Tensor, "b *shape"]:
        """The shift at times (b,) -> (b, *shape): linear in log-SNR between calibrated times.

        Before the first and after the last of them nothing is known, and the shift is zero.

        Raises:
            InputError: a time outside the schedule.
        """
        t = t.detach().cpu()
        first, last = self.schedule.t_min, self.schedule.t_max
        room = TIME_TOLERANCE * max(abs(first), abs(last))
        outside = t[~((t >= first - room) & (t <= last + room))]
        if len(outside):
            raise InputError(
                f"time outside the schedule: expected {first:g} <= t <= {last:g}, "
                f"got {outside[0].item():g}"
            )
        t = t.double().clamp(first, last)
        start, end = self.times.min().item(), self.times.max().item()
        known = (t >= start - room) & (t <= end + room)
        grid, log_snr = self._log_snr, self.schedule.log_snr(t.clamp(start, end))
        right = torch.searchsorted(-grid, -log_snr).clamp(max=len(grid) - 1)
        left = (right - 1).clamp(min=0)
        weight = (log_snr - grid[left]) / (grid[right] - grid[left])
        weight = along_batch(torch.where(log_snr == grid[right], 1.0, weight), self.shift)
        earlier, later = self.shift[self._order[left]], self.shift[self._order[right]]
        return torch.lerp(earlier, later, weight) * along_batch(known.double(), self.shift)


class Calibrated:
    """A network with its calibration: called exactly as ``predict(x_t, t, condition=None)``.

    Raises:
        InputError: when called with images of another shape, or times outside the schedule.
    """

    def __init__(self, predict: Predict, calibration: Calibration) -> None:
        self.predict = predict
        self.calibration = calibration

    def __call__(
        self, x_t: Float[Tensor, "b *shape"], t: Real[Tensor, "*time"], condition: Any = None
    ) -> Float[Tensor, "b *shape"]:
        if tuple(x_t.shape[1:]) != self.calibration.shape:
            raise InputError(
                f"calibration: expected images of shape {self.calibration.shape}, "
                f"got {tuple(x_t.shape[1:])}"
            )
        y = self.predict(x_t, t) if condition is None else self.predict(x_t, t, condition)
        return y - self.calibration.at(t.reshape(-1)).to(y)


def measure(
    predict: Predict,
    schedule: Schedule,
    *,
    target: Target = NOISE,
    images: Images,
    times: Times,
    estimators: Iterable[Estimator] = (RESIDUAL,),
    shrinkage: Shrinkage = james_stein,
    seed: int = 0,
    draws: int = 1,
    batch_size: int = DEFAULT_BATCH,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
    **provenance: Any,
) -> dict[str, Calibration]:
    """One pass over the images, and from it the calibration of each estimator, by name.

    Arguments and errors are those of ``calibrate``.
    """
    times = schedule.times(times)
    if draws < 1:
        raise InputError(f"draws: expected at least 1, got {draws}")
    estimators = tuple(estimators)
    moments: dict[str, list[Moments]] = {}
    ids: list[Tensor] = []

    def identified() -> Iterable[Tensor]:
        for batch in batches(images, batch_size):
            ids.append(image_ids(batch))
            yield batch

    for seen in observe(
        predict, schedule, target, identified(), times, seed=seed, purpose="calibrate",
        draws=draws, device=device, on_progress=on_progress,
    ):  # fmt: skip
        for estimator in estimators:
            units = estimator.units(seen)
            of_times = moments.setdefault(
                estimator.name, [Moments.empty(tuple(units.shape[1:])) for _ in times]
            )
            of_times[seen.time_index].add_(seen.first_image, units)
    made = {"draws": draws, "seed": seed} | provenance
    return {
        name: _calibration(
            schedule, target, times, of_times, shrinkage, torch.cat(ids)
        ).with_provenance(estimator=name, images=of_times[0].n, **made)
        for name, of_times in moments.items()
    }


def _calibration(
    schedule: Schedule,
    target: Target,
    times: Tensor,
    moments: list[Moments],
    shrinkage: Shrinkage,
    ids: Tensor,
) -> Calibration:
    errors = [m.error_energy() for m in moments]
    weights = torch.tensor(
        [shrinkage(m.mean, error) for m, error in zip(moments, errors, strict=True)],
        dtype=torch.float64,
    )
    estimates = torch.stack([m.mean for m in moments])
    return Calibration(
        schedule=schedule,
        target=target,
        times=times,
        shift=along_batch(weights, estimates) * estimates,
        weights=weights,
        eta_sq=tuple(m.squared_norm() for m in moments),
        error_energy=torch.tensor(errors, dtype=torch.float64),
        image_ids=ids,
    )


def calibrate(
    predict: Predict,
    schedule: Schedule,
    *,
    target: Target = NOISE,
    images: Images,
    times: Times,
    estimator: Estimator = RESIDUAL,
    shrinkage: Shrinkage = james_stein,
    seed: int = 0,
    draws: int = 1,
    batch_size: int = DEFAULT_BATCH,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
    **provenance: Any,
) -> Calibration:
    """Estimate eta_t = E[y_theta(x_t, t)] - A_t E[x_0] at each time.

    Args:
        predict: predict(x_t, t, condition=None) -> y, for x_t (b, *shape) and t (b,).
        schedule: its times are those of the network.
        target: what the network predicts.
        images: (n, *shape) floating point, or an iterable of such batches; n at least 2.
        times: distinct times of the schedule.
        estimator: what is averaged; the default averages the residual, never the raw output.
        shrinkage: how much of the estimate is applied; the default leaves alone what is noise.
        seed, draws: key of the noise, and noise draws per image and time. The unit is the image.
        batch_size: of the network's calls when ``images`` is a tensor; never changes the result.
        device: where the network runs (default: where the images are).
        on_progress: told the number of network evaluations after each call.
        provenance: anything else worth keeping with the result.

    Raises:
        InputError: times outside the schedule, fewer than two images, images that are not finite
            floating point of one shape, a prediction of another shape or not finite.
    """
    return measure(
        predict, schedule, target=target, images=images, times=times, estimators=(estimator,),
        shrinkage=shrinkage, seed=seed, draws=draws, batch_size=batch_size, device=device,
        on_progress=on_progress, **provenance,
    )[estimator.name]  # fmt: skip
