"""What a run that may be killed has found so far: small results, and sums with their place in a pass.

Each file appears whole or not at all (``theory.support.output``), and is read as data. A file of other
settings, or a broken one, counts for nothing. Results are written before sums, so that whatever was
decided before a pass is known where its sums are.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from theory.support import stored
from theory.support.errors import InputError, OutputError, refusing
from theory.support.stored import Contents

FORMAT = "martingale progress 1"
SECONDS = 30.0
"""At least so long is between two writings, the first of which is so long after the beginning."""

SHARE_OF_TIME = 0.05
"""At most so much of the time goes into writing."""

RESULTS = "results"

Result = Mapping[str, Tensor]
"""A small result, as tensors by name."""


@dataclass(frozen=True)
class Place:
    """How far a pass has come.

    Attributes:
        turn: which of the passes that go on with the same sums.
        done: how many images, in their order, are done at each time.
    """

    turn: int
    done: list[int]


@dataclass(eq=False)
class Kept:
    """The files of a run, in a folder that exists.

    Attributes:
        folder: where they are.
        settings: what decides the result.
        failed: why nothing more is kept, such as a full disk; None if all is well.
    """

    folder: Path
    settings: str
    failed: str | None = None
    results: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    written: float = field(default_factory=time.monotonic)
    pause: float = 0.0

    def __post_init__(self) -> None:
        """Read the results."""
        try:
            with refusing("progress"), safe_open(self._path(RESULTS), "pt") as file:
                if self._fits(file.metadata(), RESULTS):
                    for name in file.keys():  # noqa: SIM118
                        of, _, part = name.rpartition("/")
                        self.results.setdefault(of, {})[part] = file.get_tensor(name)
        except InputError:
            self.results = {}

    @property
    def due(self) -> bool:
        """Whether it is time to write."""
        waited = time.monotonic() - self.written
        return self.failed is None and waited >= max(SECONDS, self.pause)

    @property
    def holds_anything(self) -> bool:
        """Whether there is anything to go on from."""
        return any(self.folder.glob("*.safetensors"))

    def restore_(self, name: str, turn: int, sums: Mapping[str, Tensor]) -> Place | None:
        """The place of a pass, whose sums are filled in if they are those of this turn."""
        try:
            with refusing("progress"), safe_open(self._path(name), "pt") as file:
                texts = file.metadata()
                if not self._fits(texts, name):
                    return None
                place = Place(int(texts["turn"]), json.loads(texts["done"]))
                if place.turn != turn:
                    return place if place.turn > turn else None
                shapes = {n: tuple(file.get_slice(n).get_shape()) for n in file.keys()}  # noqa: SIM118
                if shapes != {n: tuple(tensor.shape) for n, tensor in sums.items()}:
                    return None
                for n, tensor in sums.items():
                    tensor.copy_(file.get_tensor(n))
        except InputError:
            return None
        return place

    def write(self, name: str, place: Place, sums: Mapping[str, Tensor]) -> None:
        """Keep the results, and the sums of a pass with its place."""
        begun = time.monotonic()
        try:
            self._write_results()
            of_pass = {"turn": str(place.turn), "done": json.dumps(place.done)}
            self._write(name, sums, of_pass)
        except OutputError as error:  # the run goes on, and cannot be resumed from here
            self.failed = str(error)
        self.written = time.monotonic()
        self.pause = (self.written - begun) / SHARE_OF_TIME

    def write_results(self) -> None:
        """Keep the results, after which the sums that they were made from may go."""
        try:
            self._write_results()
        except OutputError as error:
            self.failed = str(error)
            return
        self.written = time.monotonic()
        for path in self.folder.glob("*.safetensors"):
            with suppress(InputError), refusing("progress"), safe_open(path, "pt") as file:
                of = file.metadata().get("name", "")
                if any(of.startswith(f"{name}/") for name in self.results):
                    path.unlink()

    def _write_results(self) -> None:
        tensors = {f"{of}/{part}": t for of, one in self.results.items() for part, t in one.items()}
        self._write(RESULTS, tensors, {})

    def _write(self, name: str, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
        known = {"settings": self.settings, "name": name, "results": str(len(self.results))}
        stored.write(self._path(name), Contents(tensors, {**known, **texts}), FORMAT)

    def _fits(self, texts: Mapping[str, str], name: str) -> bool:
        """Whether a file is of this run, and no results that came before it are missing."""
        is_own = texts.get("settings") == self.settings and texts.get("name") == name
        return is_own and (name == RESULTS or int(texts["results"]) <= len(self.results))

    def _path(self, name: str) -> Path:
        digest = hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
        return self.folder / f"{digest}.safetensors"
