"""How much memory the sums of a calibration take, and at how many times at once it is therefore measured.

The sums of one time take memory in proportion to the size of an image. Where those of all times do not
fit, the images are read again for one block of times after the other; what the fit needs of the times
that are done is kept in temporary files where that, too, is large. The result is the same.
"""

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from theory.calibration.accumulator import Accumulator, Tried
from theory.estimators.parts import PartEstimator
from theory.forward.survey import MeanImage
from theory.support.errors import InputError
from theory.support.memory import available_memory

MOST_SUMS = 2e9
"""Bytes of sums at once; more would save nothing but the reading of images."""

MOST_KEPT = 1e9
"""Bytes that are kept for the fit in memory; more lie in files."""

TOLD = 2.5e8
"""Bytes of sums from which on a command says how much memory they take."""

SHARE = 0.3
"""Of the memory that is available, for the sums of a block; a fit of blocks takes about as much again."""


@dataclass(frozen=True)
class MemoryPlan:
    """What is held in memory.

    Attributes:
        times: how many there are.
        of_time: bytes of the sums of one.
        kept: bytes that the fit needs of each time.
        together: at how many times the network is measured while the images are read once.
        in_files: whether what is kept lies in temporary files.
    """

    times: int
    of_time: int
    kept: int
    together: int
    in_files: bool

    @property
    def blocks(self) -> list[range]:
        """Positions of the times that are measured together."""
        starts = range(0, self.times, self.together)
        return [range(k, min(k + self.together, self.times)) for k in starts]

    def __str__(self) -> str:
        said = (
            f"memory: sums of {_size(self.of_time)} per time, {_size(self.of_time * self.together)} "
            f"at once for {self.together} of {self.times} times"
        )
        if len(self.blocks) > 1:
            said += f"; the images are read {len(self.blocks)} times"
        if self.in_files:
            said += (
                f"; {_size(self.kept * self.times)} in temporary files in {tempfile.gettempdir()}"
            )
        return said

    @property
    def small(self) -> bool:
        """Whether nobody needs to be told."""
        return self.of_time * self.times < TOLD

    def require_all_at_once(self) -> None:
        """Raises: InputError, the sums of all times do not fit together."""
        needed, there = self.of_time * self.times, available_memory()
        if needed > there:
            raise InputError(
                f"memory: a budget or a precision takes {_size(needed)} for the sums of {self.times} times "
                f"at once, there are {_size(there)}: expected fewer times, or neither"
            )

    def require_room(self) -> None:
        """Raises: InputError, not even one time fits, or the files do not."""
        there = available_memory()
        if self.of_time > there:
            raise InputError(
                f"memory: the sums of one time take {_size(self.of_time)}, there are {_size(there)}"
            )
        folder = tempfile.gettempdir()
        free = shutil.disk_usage(folder).free
        if self.in_files and self.kept * self.times > free:
            raise InputError(
                f"memory: expected {_size(self.kept * self.times)} for temporary files in {folder}, "
                f"got {_size(free)}; TMPDIR names another folder"
            )


def plan_memory(
    shape: tuple[int, ...],
    times: int,
    parts: Sequence[PartEstimator],
    tried: Iterable[Tried],
    device: Any = None,
) -> MemoryPlan:
    """How a full pass keeps to the memory that is available to this process.

    Args:
        shape: of one image.
        times: how many.
        parts: what is estimated.
        tried: estimators of the mean, each with a number of draws.
        device: where the network runs, and sums are kept if there is room.
    """
    blank = MeanImage(torch.zeros(shape, dtype=torch.float64), 1)
    of_time = Accumulator(blank, tried, parts).nbytes
    kept = 8 * sum(part.condensed_numbers(shape) for part in parts)
    room = min(MOST_SUMS, SHARE * available_memory(device))
    together = max(1, min(times, int(room // of_time)))
    return MemoryPlan(times, of_time, kept, together, kept * times > MOST_KEPT)


def _size(count: int | float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"
