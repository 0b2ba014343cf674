"""Which of the network's calls of a pass are made here: what is not done yet, dealt out to processes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from jaxtyping import Int64
from torch import Tensor

Call = TypeVar("Call")


@dataclass(frozen=True, eq=False)
class Share:
    """The calls that one of several processes makes.

    Attributes:
        done: (T,), how many images, in their order, are done at each time; None for none.
        rank: of the process, from 0.
        count: of all processes, which take turns.
    """

    done: Int64[Tensor, "time"] | None = None
    rank: int = 0
    count: int = 1

    def of(self, calls: Iterable[Call]) -> Iterator[Call]:
        """Those of the calls that are left which are made here."""
        return islice(calls, self.rank, None, self.count)


WHOLE = Share()
"""All calls, none of which is done."""
