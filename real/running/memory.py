"""Out of memory: halve the batch and go on."""

import math
import os
from typing import Any

import torch
from torch import Tensor

from theory.forward.network import Predict
from theory.support.errors import InputError
from theory.support.memory import is_out_of_memory

BYTES_PER_NUMBER = 24
"""Memory for noise as it is drawn (words, then float64), and for a result."""


def physical_memory() -> float:
    """Bytes of this machine's memory; infinity where the system does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        return math.inf


def require_memory(what: str, count: int, shape: tuple[int, ...]) -> None:
    """Refuse so many images at once if their noise and predictions exceed this machine's memory.

    Raises:
        InputError: they do; the message calls them ``what``.
    """
    needed, there = count * math.prod(shape) * BYTES_PER_NUMBER, physical_memory()
    if needed > there:
        raise InputError(
            f"memory: {count} {what} of shape {shape} take about {needed / 1e9:,.0f} GB, "
            f"there are {there / 1e9:,.0f}"
        )


class WithinMemory:
    """A network that is called on as many images at once as memory allows.

    A call that runs out of memory is repeated on half as many images, down to one. Later calls begin
    with the size that worked. The order of the images is kept.

    Args:
        predict: predict(x_t, t, condition=None) -> y, image by image.

    Raises:
        InputError: when it is called, if memory does not suffice for one image.
    """

    def __init__(self, predict: Predict) -> None:
        self.predict = predict
        self.most: int | None = None

    def __call__(self, x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        """y (b, *shape) at x_t (b, *shape), t (b,) or ()."""
        count, parts, first = len(x_t), [], 0
        times = t.reshape(-1).expand(count)
        while first < count:
            part = slice(first, first + min(count - first, self.most or count))
            y = self._attempt(x_t[part], times[part], condition, part)
            if y is None:
                self._halve(len(x_t[part]))
            else:
                parts.append(y)
                first += len(y)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _attempt(self, x_t: Tensor, t: Tensor, condition: Any, part: slice) -> Tensor | None:
        """The prediction, or None if memory does not suffice."""
        try:
            if condition is None:
                return self.predict(x_t, t)
            return self.predict(x_t, t, condition[part])
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        return None

    def _halve(self, size: int) -> None:
        if size == 1:
            raise InputError("memory: expected room for one image, got none (out of memory)")
        self.most = size // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
