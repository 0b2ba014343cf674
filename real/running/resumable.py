"""Runs that go on where they were killed: what the network has predicted is kept in a file and played back.

A run with the same settings calls the network with the same inputs in the same order. Each record has
the digest of its inputs; from the first that differs on, or that was not written whole, the network is
called again. So the result is that of a run without interruption, whatever was killed when.
"""

import fcntl
import hashlib
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from real.families.checkpoint import Checkpoint
from theory.forward.network import Predict
from theory.support.errors import InputError

DIGEST_BYTES = 16
HEAD = struct.Struct(f"<{DIGEST_BYTES}sQ")
MOST_BYTES = 2**31
"""Of a file of predictions; those beyond are made again."""


class Recorded:
    """A prediction of the network of this identity, kept in a file and played back by the next run.

    Attributes:
        played_back: how many samples were predicted by the file.
    """

    def __init__(self, predict: Predict, file: BinaryIO, identity: str) -> None:
        self._predict, self._file, self._identity = predict, file, identity
        self._reading = True
        self.played_back = 0

    def __call__(self, x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        """As the prediction itself."""
        digest = _digest(self._identity, x_t, t, condition)
        if self._reading:
            if (y := self._read(digest, x_t)) is not None:
                self.played_back += len(y)
                return y
            self._reading = False
        y = self._predict(x_t, t) if condition is None else self._predict(x_t, t, condition)
        self._write(digest, y)
        return y

    def _read(self, digest: bytes, x_t: Tensor) -> Tensor | None:
        """The next record if it is of these inputs; else everything from it on is forgotten."""
        start, size = self._file.tell(), 4 * x_t.numel()
        head, content = self._file.read(HEAD.size), self._file.read(size)
        if head == HEAD.pack(digest, size) and len(content) == size:
            values = torch.from_numpy(np.frombuffer(content, np.float32).copy())
            return values.reshape(x_t.shape).to(x_t)
        self._file.seek(start)
        self._file.truncate()
        return None

    def _write(self, digest: bytes, y: Tensor) -> None:
        values = y.detach().to("cpu", torch.float32).contiguous()
        content = values.numpy().tobytes()
        record = HEAD.pack(digest, len(content)) + content
        if self._file.tell() + len(record) > MOST_BYTES:
            return
        try:
            whole = self._file.write(record) == len(record)
        except OSError:
            whole = False
        if not whole:  # a full disk: the run goes on, and cannot be resumed from here
            self._file.truncate(0)
            self._file.seek(MOST_BYTES)


def _digest(identity: str, x_t: Tensor, t: Tensor, condition: Any) -> bytes:
    """Digest of a network and of what it is called with."""
    kind = repr((identity, tuple(x_t.shape), x_t.dtype))
    found = hashlib.blake2b(kind.encode(), digest_size=DIGEST_BYTES)
    for values in (x_t, t, condition):
        if isinstance(values, Tensor):
            found.update(_bytes_of(values.detach().cpu()))
        else:
            found.update(repr(values).encode())
    return found.digest()


def _bytes_of(values: Tensor) -> bytes:
    """The numbers as they lie in memory, of any kind; a copy has its own strides whatever the shape."""
    row = values.reshape(-1).clone(memory_format=torch.contiguous_format)
    return row.view(torch.uint8).numpy().tobytes()


@contextmanager
def resumable(checkpoint: Checkpoint, out: Path) -> Iterator[Checkpoint]:
    """The checkpoint, whose predictions are kept beside ``out`` until the block is left without error.

    Args:
        checkpoint: the network, as it will be run.
        out: file or folder that is to be written within the block.

    Raises:
        InputError: another run is about to write the same.
    """
    whole = out.absolute()
    path = whole.with_name(f".{whole.name}.predictions")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with path.open("r+b", buffering=0) as file:  # a buffer would keep what a full disk refused
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{out}: another run is about to write it") from error
        recorded = Recorded(checkpoint.predict, file, checkpoint.fingerprint)
        try:
            yield replace(checkpoint, predict=recorded)
        except InputError:  # it would fail again
            path.unlink()
            raise
        except BaseException:
            if file.seek(0, os.SEEK_END):
                print(f"{path} keeps what was predicted: the same command goes on", file=sys.stderr)
            else:
                path.unlink()
            raise
        path.unlink()
