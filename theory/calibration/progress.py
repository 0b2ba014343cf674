"""How passes over images are summed: from where a killed run was, by one process or by several.

A pass asks for the network's calls that are left and adds what they show to sums of float64. These
merge by addition, so that neither where a run was killed nor how many processes share it changes the
result by more than rounding.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from theory.calibration.kept import Kept, Place, Result
from theory.estimators.device_sums import Sums
from theory.forward.forward_pass import Observation
from theory.forward.share import Share
from theory.support.errors import InputError
from theory.support.workers import ALONE, Workers

Observe = Callable[[Share], Iterable[Observation]]
"""The observations of a share of a pass."""

PLAIN_DATA = "json"
"""The tensor of a result that holds, as text, all that is no tensor."""


class Progress:
    """How far a run has come. The default keeps nothing, and is that of one process alone.

    Args:
        workers: the processes that share the run.
        kept: the files that it goes on from; of the first process alone.
        name: of the part of the run, with a slash behind it.
    """

    def __init__(self, workers: Workers = ALONE, kept: Kept | None = None, name: str = "") -> None:
        self.workers, self.kept, self.name = workers, kept, name
        self._skipped: set[str] = set()

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes what comes of the run."""
        return not self.workers.rank

    def alone(self) -> "Progress":
        """That of the first process from where it goes on without the others."""
        return Progress(ALONE, self.kept, self.name)

    def within(self, name: str) -> "Progress":
        """That of a part of the run, such as one of several networks."""
        return Progress(self.workers, self.kept, f"{self.name}{name}/")

    def once(self, name: str, compute: Callable[["Progress"], Mapping[str, Any]]) -> dict[str, Any]:
        """A result that is computed once in the whole run, however often that is killed.

        Args:
            name: of the result within this part of the run.
            compute: gives it, as tensors and as values that JSON can hold; its own passes are
                forgotten once the result is kept.

        Returns:
            What was computed, by the first process if there are several; tuples have become lists.
        """
        whole = f"{self.name}{name}"
        found: Result | None = self.kept.results.get(whole) if self.kept else None
        (known,) = self.workers.largest(int(found is not None))
        if not known:
            found = _packed(compute(self.within(name)))
        if not self.workers.alone:
            found = load(self.workers.of_first(save(dict(found or {}))))
        found = found or {}
        if self.kept and not known:
            self.kept.results[whole] = dict(found)
            if self.kept.due:
                self.kept.write_results()
        return _unpacked(found)

    def sum_(self, name: str, sums: Sequence[Sums], observe: Observe, turn: int = 0) -> None:
        """Add what a pass shows to its sums, in place; in the end every process has them all.

        Passes that go on with the same sums, one after the other, are its turns. If the files hold a
        later turn, this one leaves the sums as they are: what follows from them must come from
        ``once``.

        Args:
            name: of the pass within this part of the run.
            sums: of each time.
            observe: the observations of a share.
            turn: from 0.

        Raises:
            InputError: as the observations, processes that do not have the same pass, or sums of a
                later turn that cannot be read when it comes to it.
        """
        whole = f"{self.name}{name}"
        if self.workers.of_first(whole.encode()).decode() != whole:
            raise InputError("torchrun: expected the same images and settings in all processes")
        place = self.kept.restore_(whole, turn, _tensors(sums)) if self.kept else None
        if place is None and whole in self._skipped:
            raise InputError("progress: what was kept cannot be read; the same command begins anew")
        place = self._agreed(place or Place(turn, [0] * len(sums)))
        if place.turn > turn:
            self._skipped.add(whole)
            return
        self._skipped.discard(whole)
        if self.workers.rank:
            _zero(sums)
        left = iter(observe(Share(torch.tensor(place.done), self.workers.rank, self.workers.count)))
        while True:
            more, due = self._step(left, sums, place)
            if due or not more:
                place = self._merge(sums, place)
                self._keep(whole, sums, place, bool(due))
            if not more:
                return
            if due and self.workers.rank:
                _zero(sums)

    def _step(
        self, left: Iterator[Observation], sums: Sequence[Sums], place: Place
    ) -> tuple[int, int]:
        """One observation in each process; whether any had one, and whether it is time to write."""
        error, seen = None, None
        try:
            if (seen := next(left, None)) is not None:
                sums[seen.time_index].add_(seen)
                place.done[seen.time_index] = int(seen.places[-1]) + 1
        except Exception as raised:
            error = raised
        more, due, failed = self.workers.largest(
            int(seen is not None),
            int(self.kept is not None and self.kept.due),
            int(error is not None),
        )
        if failed:
            self.workers.agree(error)
        return more, due

    def _merge(self, sums: Sequence[Sums], place: Place) -> Place:
        """The place that all processes together have come to; the sums become those of all."""
        self.workers.add_(_tensors(sums).values())
        return self._agreed(place)

    def _agreed(self, place: Place) -> Place:
        turn, *done = self.workers.largest(place.turn, *place.done)
        return Place(turn, done)

    def _keep(self, name: str, sums: Sequence[Sums], place: Place, due: bool) -> None:
        if self.kept is not None and due:
            self.kept.write(name, place, _tensors(sums))


def _tensors(sums: Sequence[Sums]) -> dict[str, Tensor]:
    """The sums of all times by name."""
    return {f"{k}.{name}": t for k, one in enumerate(sums) for name, t in one.tensors().items()}


def _zero(sums: Sequence[Sums]) -> None:
    for tensor in _tensors(sums).values():
        tensor.zero_()


def _packed(result: Mapping[str, Any]) -> dict[str, Tensor]:
    """A result as tensors alone."""
    tensors = {n: v.detach().cpu().contiguous() for n, v in result.items() if isinstance(v, Tensor)}
    plain = json.dumps({n: v for n, v in result.items() if not isinstance(v, Tensor)})
    return {**tensors, PLAIN_DATA: torch.frombuffer(bytearray(plain.encode()), dtype=torch.uint8)}


def _unpacked(tensors: Result) -> dict[str, Any]:
    found = {name: tensor for name, tensor in tensors.items() if name != PLAIN_DATA}
    return {**found, **json.loads(tensors[PLAIN_DATA].numpy().tobytes())}
