"""One pass of a network over noised images: the only place that calls a network to measure it.

For image x_0 and noise e the network's target is known, y = A_t x_0 + B_t e, and so is every
draw's residual y_theta - y.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from theory.batches import Batch, Conditions
from theory.errors import InputError, NonFiniteError
from theory.noise import keyed_noise
from theory.schedules import Schedule
from theory.targets import Target

Predict = Callable[..., Tensor]
"""predict(x_t, t, condition=None) -> y, for x_t (b, *shape) and t (b,)."""

GROUPS = 16
"""Images are told apart by group = rank mod GROUPS wherever the error of a statistic is estimated."""


@dataclass(frozen=True)
class Observation:
    """Some images at one time, m noise draws each; float64 on the CPU.

    Attributes:
        time_index: position of the time.
        group: of each image, so that every group has its share of the images.
        x_0: the images; noise and prediction: one per draw.
        a, b, alpha, sigma: the target is a x_0 + b noise, and x_t = alpha x_0 + sigma noise.
        reference: another network's prediction of the same, to be held against in place of the
            target; None if the target itself is.
        conditions: of the images, if they have any.
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

    def first(self, draws: int) -> "Observation":
        """The same with only the first noise draws."""
        return replace(
            self,
            noise=self.noise[:draws],
            prediction=self.prediction[:draws],
            reference=None if self.reference is None else self.reference[:draws],
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
        return len(self.prediction) % 4 == 0

    @property
    def error(self) -> Float64[Tensor, "m b *shape"]:
        """y_theta - y, per draw."""
        return self.prediction - self.a * self.x_0 - self.b * self.noise

    @property
    def residual(self) -> Float64[Tensor, "m b *shape"]:
        """y_theta less what it is held against, per draw."""
        return self.error if self.reference is None else self.prediction - self.reference


def require_key(seed: int, draws: int) -> None:
    """Refuse what cannot key the noise.

    Raises:
        InputError: a negative seed, or less than one draw.
    """
    if seed < 0:
        raise InputError(f"seed: expected at least 0, got {seed}")
    if draws < 1:
        raise InputError(f"draws: expected at least 1, got {draws}")


@torch.no_grad()
def observe(
    predict: Predict,
    schedule: Schedule,
    target: Target,
    images: Iterable[Batch],
    times: Tensor,
    *,
    seed: int,
    purpose: str,
    draws: int,
    members: Bool[Tensor, "time image"] | None = None,
    rank: Int64[Tensor, "image"] | None = None,
    reference: Predict | None = None,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[Observation]:
    """Run the network on images at times, ``draws`` noise draws each, in antithetic pairs.

    Draws 2j and 2j + 1 of an image are e and -e: what the network gets wrong in proportion to the
    noise cancels between them.

    Args:
        images: checked batches; see ``batches``.
        times: of ``schedule.times``, (T,).
        seed, purpose: key of the noise; different purposes never share noise.
        members: which images to take at which time (default: all).
        rank: order in which images are taken, from which they get their groups (default: as given).
        reference: a network of the same target to hold the prediction against.
        device: where the network runs (default: where the images are).
        on_progress: told the number of network evaluations after each call.

    Raises:
        InputError: the network changed the shape, or returned NaN or infinity (names the time).
    """
    alphas, sigmas = schedule.alpha(times).tolist(), schedule.sigma(times).tolist()
    a_s, b_s = (c.tolist() for c in target.coefficients(schedule, times))
    first = 0
    for batch in images:
        everyone = torch.arange(first, first + len(batch))
        group = (everyone if rank is None else rank[everyone]) % GROUPS
        shape = tuple(batch.images.shape[1:])
        first += len(batch)
        for k, t in enumerate(times):
            here = everyone if members is None else everyone[members[k, everyone]]
            if not len(here):
                continue
            chosen = batch.select(here - everyone[0])
            noise = _antithetic(seed, purpose, k, draws, here, shape)
            x_0, predictions, references = chosen.images.to(device), [], []
            condition = chosen.conditions
            if isinstance(condition, Tensor):
                condition = condition.to(x_0.device)
            for e in noise:
                x_t = alphas[k] * x_0 + sigmas[k] * e.to(x_0)
                predictions.append(_checked(predict, x_t, t, condition))
                if reference is not None:
                    references.append(_checked(reference, x_t, t, condition))
                if on_progress:
                    on_progress(len(here))
            yield Observation(
                k,
                group[here - everyone[0]],
                chosen.images.double().cpu(),
                noise,
                torch.stack(predictions),
                a_s[k],
                b_s[k],
                alphas[k],
                sigmas[k],
                torch.stack(references) if references else None,
                chosen.conditions,
            )


def _antithetic(
    seed: int, purpose: str, k: int, draws: int, images: Tensor, shape: tuple[int, ...]
) -> Tensor:
    pairs = [keyed_noise(seed, purpose, k, j, images, shape) for j in range((draws + 1) // 2)]
    return torch.stack([signed for e in pairs for signed in (e, -e)][:draws])


def _checked(predict: Predict, x_t: Tensor, t: Tensor, condition: Conditions | None) -> Tensor:
    t_batch = (t.to(x_t.dtype) if t.is_floating_point() else t).to(x_t.device).expand(len(x_t))
    y = predict(x_t, t_batch) if condition is None else predict(x_t, t_batch, condition)
    if y.shape != x_t.shape:
        raise InputError(
            f"network: expected a prediction of shape {tuple(x_t.shape)}, got {tuple(y.shape)}"
        )
    y = y.double().cpu()
    if not torch.isfinite(y).all():
        raise NonFiniteError(f"network: NaN or infinity in the prediction at t={t.item():g}")
    return y
