"""The processes of one run under torchrun: who they are, and how they add up and agree.

``torch.distributed`` carries it: gloo between CPUs, NCCL between GPUs. When a process is lost, the
others end, too; what was kept until then is for the next run.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from theory.support.errors import FailedElsewhereError, LostProcessError
from theory.support.torchrun import process_count, process_rank, under_torchrun

WAIT_TO_SPEAK = 5
"""Seconds for which torchrun is asked whether another process has said it."""


@dataclass(frozen=True)
class Workers:
    """The processes that share a run, as one of them sees them; by default one alone.

    Attributes:
        rank: of this process, from 0.
        count: of all.
    """

    rank: int = 0
    count: int = 1

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.count == 1

    def largest(self, *numbers: int) -> list[int]:
        """Of each number the largest that any process has."""
        if self.alone:
            return list(numbers)
        values = torch.tensor(numbers, dtype=torch.int64)
        with _together():
            dist.all_reduce(values, dist.ReduceOp.MAX)
        return values.tolist()

    def of_first(self, content: bytes) -> bytes:
        """What the first process has."""
        if self.alone:
            return content
        (length,) = self.largest(0 if self.rank else len(content))
        values = torch.zeros(length, dtype=torch.uint8)
        if not self.rank and length:
            values = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        with _together():
            dist.broadcast(values, 0)
        return values.numpy().tobytes()

    def add_(self, tensors: Iterable[Tensor]) -> None:
        """Make each tensor the sum of those that the processes have in its place.

        They are added on the GPUs if all of them lie there.
        """
        for tensor in () if self.alone else tensors:
            (elsewhere,) = self.largest(int(not tensor.is_cuda))
            total = tensor.cpu() if elsewhere else tensor
            with _together():
                dist.all_reduce(total)
            if total is not tensor:
                tensor.copy_(total)

    def agree(self, error: Exception | None) -> None:
        """Go on if no process has an error.

        Raises:
            FailedElsewhereError: another process has one. Its own a process raises as it is.
        """
        (failed,) = self.largest(int(error is not None))
        if error is not None:
            raise error
        if failed:
            raise FailedElsewhereError


ALONE = Workers()


@contextmanager
def joined() -> Iterator[Workers]:
    """The processes that torchrun started, this one among them; this one alone without torchrun."""
    if not under_torchrun() or process_count() == 1:
        yield ALONE
        return
    on_gpus = torch.cuda.is_available() and dist.is_nccl_available()
    with _together():
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo")
    yield Workers(process_rank(), process_count())
    dist.destroy_process_group()


@contextmanager
def _together() -> Iterator[None]:
    """What all processes do at once fails when one of them is gone."""
    try:
        yield
    except RuntimeError as error:
        raise LostProcessError from error


def speaks_first() -> bool:
    """Whether no other process of this run has said why it ends, since it was started last."""
    try:
        board = dist.TCPStore(
            os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), wait_for_workers=False,
            timeout=timedelta(seconds=WAIT_TO_SPEAK),
        )  # fmt: skip
        start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        return int(board.add(f"said {start}", 1)) == 1
    except (RuntimeError, KeyError, ValueError):  # nobody keeps what was said
        return True
