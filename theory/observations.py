"""One pass of a network over noised images: the only place that calls a network to measure it.

For image x_0 and noise e the network's target is known, y = A_t x_0 + B_t e, and so is every
draw's residual y_theta - y.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.errors import InputError, NonFiniteError
from theory.noise import keyed_noise
from theory.schedules import Schedule
from theory.targets import Target

Predict = Callable[..., Tensor]
"""predict(x_t, t, condition=None) -> y, for x_t (b, *shape) and t (b,)."""

Images = Tensor | Iterable[Tensor]
"""Images (n, *shape), or an iterable of batches (b, *shape) of them."""

DEFAULT_BATCH = 256


@dataclass(frozen=True)
class Observation:
    """A batch of consecutive images at one time, m noise draws each; float64 on the CPU.

    x_0 (b, *shape); noise and prediction (m, b, *shape); the target is a x_0 + b noise.
    """

    time_index: int
    first_image: int
    x_0: Float64[Tensor, "b *shape"]
    noise: Float64[Tensor, "m b *shape"]
    prediction: Float64[Tensor, "m b *shape"]
    a: float
    b: float

    @property
    def residual(self) -> Float64[Tensor, "m b *shape"]:
        """y_theta - y, (m, b, *shape)."""
        return self.prediction - self.a * self.x_0 - self.b * self.noise


def batches(images: Images, batch_size: int = DEFAULT_BATCH) -> Iterator[Tensor]:
    """Batches of checked images: floating point, finite, all of one shape.

    Raises:
        InputError: anything else, or fewer than two images in all.
    """
    shape, count = None, 0
    for batch in images.split(batch_size) if isinstance(images, Tensor) else images:
        if not isinstance(batch, Tensor) or batch.dim() < 2 or not batch.is_floating_point():
            got = tuple(batch.shape) if isinstance(batch, Tensor) else type(batch).__name__
            kind = f" of {batch.dtype}" if isinstance(batch, Tensor) else ""
            raise InputError(
                f"images: expected floating-point batches (b, *shape), got {got}{kind}"
            )
        shape = shape or batch.shape[1:]
        if batch.shape[1:] != shape:
            raise InputError(
                f"images: expected shape {tuple(shape)} throughout, got {tuple(batch.shape[1:])}"
            )
        if not torch.isfinite(batch).all():
            raise InputError("images: expected finite values, got NaN or infinity")
        count += len(batch)
        yield batch
    if count < 2:
        raise InputError(f"images: expected at least two, got {count}")


@torch.no_grad()
def observe(
    predict: Predict,
    schedule: Schedule,
    target: Target,
    images: Iterable[Tensor],
    times: Tensor,
    *,
    seed: int,
    purpose: str,
    draws: int,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[Observation]:
    """Run the network on every image at every time, ``draws`` noise draws each.

    Args:
        images: checked batches; see ``batches``.
        times: of ``schedule.times``, (T,).
        seed, purpose: key of the noise; different purposes never share noise.
        device: where the network runs (default: where the images are).
        on_progress: told the number of network evaluations after each call.

    Raises:
        InputError: the network changed the shape, or returned NaN or infinity (names the time).
    """
    alphas, sigmas = schedule.alpha(times), schedule.sigma(times)
    a_s, b_s = target.coefficients(schedule, times)
    first = 0
    for batch in images:
        x_0 = batch.to(device)
        exact = batch.double().cpu()
        for k, t in enumerate(times):
            noise = torch.stack(
                [
                    keyed_noise(seed, purpose, k, draw, first, len(batch), tuple(batch.shape[1:]))
                    for draw in range(draws)
                ]
            )
            predictions = []
            for e in noise:
                x_t = alphas[k].item() * x_0 + sigmas[k].item() * e.to(x_0)
                predictions.append(_checked(predict, x_t, t))
                if on_progress:
                    on_progress(len(batch))
            yield Observation(
                k, first, exact, noise, torch.stack(predictions), a_s[k].item(), b_s[k].item()
            )
        first += len(batch)


def _checked(predict: Predict, x_t: Tensor, t: Tensor) -> Tensor:
    t_batch = (t.to(x_t.dtype) if t.is_floating_point() else t).to(x_t.device).expand(len(x_t))
    y = predict(x_t, t_batch)
    if y.shape != x_t.shape:
        raise InputError(
            f"network: expected a prediction of shape {tuple(x_t.shape)}, got {tuple(y.shape)}"
        )
    y = y.double().cpu()
    if not torch.isfinite(y).all():
        raise NonFiniteError(f"network: NaN or infinity in the prediction at t={t.item():g}")
    return y
