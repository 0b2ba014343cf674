"""The forward pass of a network over noised images: the only place that measures a network.

For image x_0 and noise e the network's target is known, y = A_t x_0 + B_t e, and so is every
draw's residual y_theta - y.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from jaxtyping import Bool, Float64, Int64, Real
from torch import Tensor
from torch.nn.functional import one_hot

from theory.forward.calls import Portion, filled, portions, side_by_side
from theory.forward.images import Batch, Conditions, take
from theory.forward.keyed_noise import Draws
from theory.forward.network import Network, Predict
from theory.forward.share import WHOLE, Share
from theory.support.errors import InputError, NonFiniteError
from theory.support.prefetch import prefetch

WITHOUT_FLOAT64 = {"mps"}

AHEAD = 2
"""Calls whose noise is drawn while the network runs."""

GROUPS = 16
"""Independent images are dealt out to so many groups, from whose spread errors are estimated."""


def tells_noise(draws: int) -> bool:
    """Whether so many draws fall into two halves of whole antithetic pairs."""
    return draws % 4 == 0


@dataclass(frozen=True)
class Observation:
    """Some images at one time, m noise draws each; float64, on the network's device if it can.

    Attributes:
        time_index: position of the time.
        group: of each image, so that every group has its share of the images; on the CPU.
        x_0: the images; noise and prediction: one per draw.
        a, b, alpha, sigma: the target is a x_0 + b noise, and x_t = alpha x_0 + sigma noise.
        reference: another network's prediction of the same, to be held against in place of the
            target; None if the target itself is.
        conditions: of the images, if they have any.
        positions: of the images among all; None if these are all.
    """

    time_index: int
    group: Int64[Tensor, "b"]
    x_0: Float64[Tensor, "b *shape"]
    noise: Float64[Tensor, "m b *shape"]
    prediction: Float64[Tensor, "m b *shape"]
    a: float
    b: float
    alpha: float
    sigma: float
    reference: Float64[Tensor, "m b *shape"] | None = None
    conditions: Conditions | None = None
    positions: Int64[Tensor, "b"] | None = None

    @property
    def places(self) -> Int64[Tensor, "b"]:
        """The positions of the images among all."""
        return torch.arange(len(self.x_0)) if self.positions is None else self.positions

    def members(self) -> Float64[Tensor, "group b"]:
        """One where an image is in a group, else zero."""
        return one_hot(self.group, GROUPS).double().T.to(self.device)

    def first(self, draws: int) -> "Observation":
        """The same with only the first noise draws."""
        if draws >= len(self.prediction):
            return self
        return replace(
            self,
            noise=self.noise[:draws],
            prediction=self.prediction[:draws],
            reference=None if self.reference is None else self.reference[:draws],
        )

    @property
    def device(self) -> torch.device:
        """Where all but the groups are."""
        return self.prediction.device

    def to(self, device: Any) -> "Observation":
        """The same on another device."""
        return replace(
            self,
            x_0=self.x_0.to(device),
            noise=self.noise.to(device),
            prediction=self.prediction.to(device),
            reference=None if self.reference is None else self.reference.to(device),
        )

    @property
    def x_t(self) -> Float64[Tensor, "m b *shape"]:
        """What the network was shown, per draw."""
        return self.alpha * self.x_0 + self.sigma * self.noise

    def contrast(self, per_draw: Float64[Tensor, "m b *shape"]) -> Float64[Tensor, "b *shape"]:
        """Half the difference of the two halves of the draws: their mean's noise, without its mean.

        The draws are whole antithetic pairs in both halves.
        """
        half = len(per_draw) // 2
        return (per_draw[:half].mean(0) - per_draw[half:].mean(0)) / 2

    @property
    def tells_noise(self) -> bool:
        """Whether the draws fall into two halves of whole antithetic pairs."""
        return tells_noise(len(self.prediction))

    @cached_property
    def error(self) -> Float64[Tensor, "m b *shape"]:
        """y_theta - y, per draw."""
        return self.prediction - self.a * self.x_0 - self.b * self.noise

    @property
    def residual(self) -> Float64[Tensor, "m b *shape"]:
        """y_theta less what it is held against, per draw."""
        return self.error if self.reference is None else self.prediction - self.reference


def observe(
    network: Network,
    images: Iterable[Batch],
    times: Real[Tensor, "time"],
    draws: Draws,
    *,
    members: Bool[Tensor, "time image"] | None = None,
    group: Int64[Tensor, "image"] | None = None,
    share: Share = WHOLE,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[Observation]:
    """Run the network on noised images x_t = alpha_t x_0 + sigma_t e at every time.

    Args:
        network: the network, and the reference to hold it against if there is one.
        images: checked batches, such as an ``ImageSet``.
        times: of ``schedule.times``, (T,).
        draws: the noise draws of each image and time.
        members: (T, n), true where an image is taken (default: all).
        group: (n,), of each image, below ``GROUPS`` (default: dealt out in their order).
        share: which of the network's calls are made here (default: all).
        device: where the network runs (default: where the images are).
        on_progress: called with the number of network evaluations after each call.

    Raises:
        InputError: the network changed the shape, or returned NaN or infinity (names the time).
    """
    caller, watch, placed = _Caller.of(network, times), _Finite(), None
    a_s, b_s = (c.tolist() for c in network.target.coefficients(network.schedule, times))
    some = share.of(portions(images, len(times), members, share.done))
    calls = filled((portion, portion.room) for portion in some)
    for together, words in prefetch(partial(_words, draws), calls, AHEAD):
        batch = together[0].batch
        if len(together) > 1:
            batch = Batch.joined([portion.batch for portion in together])
        if placed is None or placed.batch is not batch:
            placed = _Placed.on(device, batch)
        noise = draws.noise(_sent(words, placed.exact.device))
        found = []
        for e in noise:
            found.append([y.to(e) for y in caller.predictions(placed, e, together)])
            for portion, here in side_by_side(together):
                for y in found[-1]:
                    watch.add(y[here], times[portion.time_index])
            if on_progress:
                on_progress(len(batch))
        predicted, *held_against = map(torch.stack, zip(*found, strict=True))
        for portion, here in side_by_side(together):
            k, positions = portion.time_index, portion.positions
            yield Observation(
                k, positions % GROUPS if group is None else group[positions], placed.exact[here],
                noise[:, here], predicted[:, here], a_s[k], b_s[k],
                float(caller.alpha[k]), float(caller.sigma[k]),
                held_against[0][:, here] if held_against else None,
                portion.batch.conditions, positions,
            )  # fmt: skip
    watch.finish()


def _words(draws: Draws, together: Sequence[Portion]) -> Tensor:
    return torch.cat([draws.words(p.time_index, p.numbers, p.shape) for p in together], 1)


@dataclass(frozen=True)
class _Placed:
    """A batch where the network runs, and its images in float64 where sums are kept."""

    batch: Batch
    images: Tensor
    conditions: Conditions | None
    exact: Float64[Tensor, "b *shape"]

    @classmethod
    def on(cls, device: Any, batch: Batch) -> "_Placed":
        """The batch on a device."""
        images, conditions = batch.images.to(device), batch.conditions
        if isinstance(conditions, Tensor):
            conditions = conditions.to(images.device)
        place = "cpu" if images.device.type in WITHOUT_FLOAT64 else images.device
        return cls(batch, images, conditions, images.to(place, torch.float64))

    def conditions_of(self, here: slice) -> Conditions | None:
        """Those of some of the images."""
        return None if self.conditions is None else self.conditions[here]


def _sent(words: Tensor, device: torch.device) -> Tensor:
    """The words on a device, without waiting for what it does."""
    if device.type == "cuda":
        words = words.pin_memory()
    return words.to(device, non_blocking=True)


@dataclass(frozen=True, eq=False)
class _Caller:
    """What is called, at which times, and how noisy its images are there, (T,)."""

    network: Network
    times: Real[Tensor, "time"]
    alpha: Float64[Tensor, "time"]
    sigma: Float64[Tensor, "time"]

    @classmethod
    def of(cls, network: Network, times: Real[Tensor, "time"]) -> "_Caller":
        """The network at these times."""
        schedule = network.schedule
        return cls(network, times, schedule.alpha(times).double(), schedule.sigma(times).double())

    @property
    def predicts(self) -> list[Predict]:
        """The network, and the reference if there is one."""
        return [p for p in (self.network.predict, self.network.reference) if p is not None]

    @torch.no_grad()
    def predictions(
        self, placed: _Placed, e: Float64[Tensor, "b *shape"], together: Sequence[Portion]
    ) -> list[Tensor]:
        """What each function predicts under one draw of the noise.

        In one call, if all images are at one time, or each may have its own; else a call for each time.
        """
        at = torch.cat([torch.full((len(p),), p.time_index) for p in together])
        x_t, t = self._noised(placed.images, e, at)
        calls = [slice(None)]
        if len({portion.time_index for portion in together}) > 1 and not self._mixes(placed, e):
            calls = [here for _, here in side_by_side(together)]
        return [
            torch.cat([_predicted(p, x_t[c], t[c], placed.conditions_of(c)) for c in calls])
            for p in self.predicts
        ]

    def _noised(self, images: Tensor, e: Tensor, at: Int64[Tensor, "b"]) -> tuple[Tensor, Tensor]:
        """x_t of images at times of these positions, and t as the network takes it."""
        one_each = (-1,) + (1,) * (images.dim() - 1)
        alpha, sigma = (c[at].to(images).reshape(one_each) for c in (self.alpha, self.sigma))
        t = self.times[at]
        t = (t.to(images.dtype) if t.is_floating_point() else t).to(images.device)
        return alpha * images + sigma * e.to(images), t

    def _mixes(self, placed: _Placed, e: Tensor) -> bool:
        """Whether images at several times can be one call: tried with one image at the ends."""
        x_t, t = self._noised(placed.images[:1], e[:1], torch.tensor([0, len(self.times) - 1]))
        condition = take(placed.conditions, torch.zeros(2, dtype=torch.int64))
        return self.network.mixed_times.taken_by(self.predicts, x_t, t, condition)


def _predicted(predict: Predict, x_t: Tensor, t: Tensor, condition: Conditions | None) -> Tensor:
    y = predict(x_t, t) if condition is None else predict(x_t, t, condition)
    if not isinstance(y, Tensor):
        raise InputError(f"network: expected a prediction as a tensor, got {type(y).__name__}")
    if y.shape != x_t.shape:
        raise InputError(
            f"network: expected a prediction of shape {tuple(x_t.shape)}, got {tuple(y.shape)}"
        )
    return y


class _Finite:
    """Refuses NaN and infinity one prediction late, so as not to wait for the last one."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Tensor, Tensor]] = []

    def add(self, y: Tensor, t: Tensor) -> None:
        """Look at the prediction before this one."""
        self.waiting.append((torch.isfinite(y).all(), t))
        if len(self.waiting) > 1:
            self._check(*self.waiting.pop(0))

    def finish(self) -> None:
        """Look at what is left."""
        for finite, t in self.waiting:
            self._check(finite, t)

    @staticmethod
    def _check(finite: Tensor, t: Tensor) -> None:
        if not finite:
            raise NonFiniteError(f"network: NaN or infinity in the prediction at t={t.item():g}")
