"""Which images a network is called with at which times."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from theory.forward.fingerprints import numbered
from theory.forward.images import Batch

Part = TypeVar("Part", bound=Sized)


@dataclass(frozen=True, eq=False)
class Portion:
    """The images of a batch that are taken at one time.

    Attributes:
        time_index: position of the time.
        batch: the images.
        positions: of the images among all.
        numbers: who they are, which positions their noise.
        room: how many images the batch has that they come from.
    """

    time_index: int
    batch: Batch
    positions: Int64[Tensor, "b"]
    numbers: Int64[Tensor, "b"]
    room: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image."""
        return tuple(self.batch.images.shape[1:])

    def __len__(self) -> int:
        return len(self.positions)


def portions(
    images: Iterable[Batch],
    times: int,
    members: Bool[Tensor, "time image"] | None,
    done: Int64[Tensor, "time"] | None,
) -> Iterator[Portion]:
    """The images of each batch at each time, batch after batch.

    Args:
        images: checked batches.
        times: how many.
        members: (T, n), true where an image is taken; None for all.
        done: (T,), how many images, in their order, are done at each time; None for none.
    """
    first, before = 0, Counter[int]()
    for batch in images:
        numbers = numbered(batch.ids, before)
        positions, room = torch.arange(first, first + len(batch)), len(batch)
        for k in range(times):
            here = positions if members is None else positions[members[k, positions]]
            here = here if done is None else here[here >= done[k]]
            if len(here) == room:
                yield Portion(k, batch, positions, numbers, room)
            elif len(here):
                yield Portion(k, batch.select(here - first), here, numbers[here - first], room)
        first += room


def filled(parts: Iterable[tuple[Part, int]]) -> Iterator[list[Part]]:
    """Parts in their order, as many together as fit.

    Args:
        parts: each with the number of images that there is room for when it comes.
    """
    held: list[Part] = []
    for part, room in parts:
        if held and sum(map(len, held)) + len(part) > room:
            yield held
            held = []
        held.append(part)
    if held:
        yield held


def side_by_side(together: Sequence[Portion]) -> Iterator[tuple[Portion, slice]]:
    """Where the images of each portion are, when they stand one after the other."""
    first = 0
    for portion in together:
        yield portion, slice(first, first + len(portion))
        first += len(portion)
