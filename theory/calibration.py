"""Calibration of order 0: estimate eta_t once per time, subtract it for ever.

Along the exact reverse process alpha_t times the score is a martingale, so its mean is zero at
every time. For any model, E|s_theta - eta - score|^2 = E|s_theta - score|^2 - 2 eta.E[s_theta] +
|eta|^2, least at eta_t = E[s_theta] (Pang et al. 2023, section 3). In terms of what the network
predicts, y = A_t x_0 + B_t e:

    calibrated prediction = y_theta - eta_t,    eta_t = E[y_theta] - A_t E[x_0].

An estimate of eta_t carries noise, and applying noise does harm; what is subtracted is therefore
the estimate times a weight between 0 and 1 (``theory.shrinkage``), and nothing where a gain is not
certain (``theory.decision``).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Float64, Int64, Real
from torch import Tensor

from theory.batches import DEFAULT_BATCH, Conditions, Images
from theory.budget import Goal
from theory.decision import decide
from theory.errors import InputError
from theory.estimates import Estimate
from theory.estimators import REGRESSION, Estimator
from theory.likelihood import gain_weights
from theory.measurement import Choice, Measured, Sequential, Setup, over_all
from theory.observations import Predict, require_key
from theory.schedules import Schedule, Times
from theory.shapes import along_batch
from theory.shrinkage import CERTIFIED, Policy
from theory.smoothing import curvature
from theory.survey import survey
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
        eta_sq: |eta_t|^2 of the population that the images are a sample of, one per time; the value
            is unbiased, the interval asymptotic.
        eta_sq_of_set: the same of these very images; see ``Moments.squared_norm_of_set``.
        gains: (T,), gain to expect of the shift where it is applied, by leaving out images;
            |eta_t|^2 less this is the error that smoothing and shrinking leave.
        certificates: (T,), lower bounds of the gain E|r|^2 - E|r - shift|^2 that hold together
            (asymptotic); minus infinity where there were too few images to tell.
        total_certificate: lower bound of the weighted sum of the gains of what is applied: of the
            fall of the likelihood bound in nats, unless the times were given another importance.
        smoothing: strength of the smoothing over log-SNR that left-out images liked best.
        bands: number of frequency bands that were shrunk apart.
        error_energy: (T,), unbiased E|estimate_t - eta_t|^2, before shrinking.
        plain_error_energy: (T,), the same for the published plain average at as many evaluations.
        choices: estimator, images and draws at each time.
        image_ids: identities of the images that it was made from, so that no validation uses them.
        provenance: how it was made: images, seed, evaluations, and what a program adds.
    """

    schedule: Schedule
    target: Target
    times: Real[Tensor, "time"]
    shift: Float64[Tensor, "time *shape"]
    weights: Float64[Tensor, "time"]
    certificates: Float64[Tensor, "time"]
    eta_sq: tuple[Estimate, ...]
    eta_sq_of_set: tuple[Estimate, ...]
    gains: Float64[Tensor, "time"]
    total_certificate: float
    smoothing: float
    bands: int
    error_energy: Float64[Tensor, "time"]
    plain_error_energy: Float64[Tensor, "time"]
    choices: tuple[Choice, ...]
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
        """The shift at times (b,) -> (b, *shape), between calibrated times by interpolation.

        It is a natural cubic spline in log-SNR where the shifts were smoothed as one, and linear
        where they were not, or where one neighbour is left alone. Before the first and after the
        last of them nothing is known, and the shift is zero.

        Raises:
            InputError: a time outside the schedule.
        """
        left, right, weight, known = self._neighbours(t)
        later, known = along_batch(weight, self.shift), along_batch(known.double(), self.shift)
        shift = torch.lerp(self.shift[left], self.shift[right], later)
        if self.smoothing > 0:
            earlier = 1 - later
            distance = self.schedule.log_snr(self.times[left]) - self.schedule.log_snr(
                self.times[right]
            )
            bend = torch.where(distance.isfinite(), distance**2 / 6, 0.0)
            cubic = (earlier**3 - earlier) * self._curvature[left]
            cubic += (later**3 - later) * self._curvature[right]
            shift = shift + along_batch(bend, self.shift) * cubic
        return shift * known

    @cached_property
    def _curvature(self) -> Tensor:
        result = torch.empty_like(self.shift)
        result[self._order] = curvature(self._log_snr, self.shift[self._order])
        return result

    def certified_gain(self, t: Real[Tensor, "b"]) -> Float64[Tensor, "b"]:
        """Lower bound of the gain at calibrated times; between two, the smaller of theirs.

        Zero where nothing is applied.

        Raises:
            InputError: a time outside the schedule.
        """
        left, right, weight, known = self._neighbours(t)
        applied = torch.where(self.weights > 0, self.certificates, 0.0)
        at_right = torch.where(weight > 0, applied[right], applied[left])
        at_left = torch.where(weight < 1, applied[left], applied[right])
        return torch.where(known, torch.minimum(at_left, at_right), 0.0)

    def _neighbours(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Indices of the calibrated times around t, the weight of the later, and whether there are."""
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
        no_distance = (
            log_snr == grid[right]
        ) | weight.isnan()  # NaN: the left one lies at infinity
        weight = torch.where(no_distance, 1.0, weight)
        return self._order[left], self._order[right], weight, known


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

    def certified_gain(self, t: Real[Tensor, "b"]) -> Float64[Tensor, "b"]:
        """Lower bound of what the shift takes off the squared error at these times."""
        return self.calibration.certified_gain(t)


def calibrate(
    predict: Predict,
    schedule: Schedule,
    *,
    target: Target = NOISE,
    images: Images,
    times: Times,
    conditions: Conditions | None = None,
    estimator: Estimator = REGRESSION,
    goal: Goal | None = None,
    policy: Policy = CERTIFIED,
    importance: Float64[Tensor, "time"] | None = None,
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
        images: (n, *shape) floating point, or a re-iterable of such batches; n at least 2.
        times: distinct times of the schedule.
        conditions: one for each image, such as labels (n,) or n texts; the network is then called
            with them, and the shift is that of the joint law of images and conditions.
        estimator: what is averaged, over all images, ``draws`` noise draws each.
        goal: in place of that, when to stop; estimator, images and draws are then chosen per time.
        policy: how much of the estimate is applied; the default shrinks it, and applies nothing
            at a time whose gain is not certain.
        importance: what a unit of gain at each time is worth, (T,), such as ``solver_weights``;
            evaluations are spent and smoothing is chosen for it. Default: the likelihood bound.
        seed, draws: key of the noise, and noise draws per image and time. The unit is the image.
        batch_size: of the network's calls when ``images`` is a tensor; never changes the result.
        device: where the network runs (default: where the images are).
        on_progress: told the number of network evaluations after each call.
        provenance: anything else worth keeping with the result.

    Raises:
        InputError: times outside the schedule, fewer than two images, images that are not finite
            floating point of one shape, another number of conditions, a prediction of another
            shape or not finite.
    """
    setup = prepare(
        predict, schedule, target, images, times, seed=seed, conditions=conditions, draws=draws,
        batch_size=batch_size, device=device, on_progress=on_progress, importance=importance,
    )  # fmt: skip
    measured = over_all(setup, estimator, draws) if goal is None else Sequential(setup, goal).run()
    return conclude(setup, measured, policy, **provenance)


def prepare(
    predict: Predict, schedule: Schedule, target: Target, images: Images, times: Times, *,
    seed: int, conditions: Conditions | None = None, draws: int = 1,
    batch_size: int = DEFAULT_BATCH, device: Any = None,
    on_progress: Callable[[int], None] | None = None,
    importance: Float64[Tensor, "time"] | None = None,
) -> Setup:  # fmt: skip
    """Check everything and look at the images once, before the network is run."""
    times = schedule.times(times)
    require_key(seed, draws)
    if importance is None:
        importance = _nats(schedule, target, times)
    _require_importance(importance, times)
    return Setup(
        predict, schedule, target, images, survey(images, batch_size, conditions), times, seed,
        batch_size, importance, device, on_progress, conditions,
    )  # fmt: skip


def _nats(schedule: Schedule, target: Target, times: Tensor) -> Tensor:
    """What a unit of gain at each time takes off the likelihood bound; ones for a single time."""
    weights = gain_weights(schedule, target, times)
    return weights if weights.sum() > 0 else torch.ones_like(weights)


def _require_importance(importance: Tensor, times: Tensor) -> None:
    fits = importance.shape == times.shape and bool((importance >= 0).all())
    if not fits or not 0 < importance.sum().item() < math.inf:
        raise InputError(
            f"importance: expected {len(times)} numbers, none negative and not all zero, "
            f"got {importance.tolist()}"
        )


def conclude(setup: Setup, measured: Measured, policy: Policy, **provenance: Any) -> Calibration:
    """The calibration that follows from the moments."""
    moments = measured.moments
    decision = decide(moments, setup.schedule.log_snr(setup.times), setup.importance, policy)
    made = {"images": setup.survey.count, "seed": setup.seed, "evaluations": measured.evaluations}
    return Calibration(
        schedule=setup.schedule,
        target=setup.target,
        times=setup.times,
        shift=decision.shift,
        weights=decision.weights,
        gains=decision.gains,
        certificates=decision.certificates,
        total_certificate=decision.total_certificate,
        smoothing=decision.smoothing,
        bands=decision.bands,
        eta_sq=tuple(m.squared_norm() for m in moments),
        eta_sq_of_set=tuple(m.squared_norm_of_set() for m in moments),
        error_energy=torch.tensor([m.error_energy() for m in moments], dtype=torch.float64),
        plain_error_energy=torch.tensor(measured.plain_error_energy, dtype=torch.float64),
        choices=tuple(measured.choices),
        image_ids=setup.survey.ids,
        provenance=made | provenance,
    )
