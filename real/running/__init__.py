"""Run a network well: half precision, compilation, within memory, at the best batch size.

Imports ``real.families``.
"""

from dataclasses import replace

import torch

from real.families.checkpoint import Checkpoint
from real.running.batch_size import best_batch_size, timed
from real.running.going_on import going_on
from real.running.memory import WithinMemory, require_memory
from real.running.precision import DTYPES, compiled, in_dtype
from real.running.resumable import resumable
from real.running.throughput import Throughput, bare_calls, throughput

__all__ = [
    "DTYPES",
    "Throughput",
    "WithinMemory",
    "bare_calls",
    "best_batch_size",
    "compiled",
    "going_on",
    "in_dtype",
    "require_memory",
    "resumable",
    "run_well",
    "throughput",
    "timed",
]


def run_well(
    checkpoint: Checkpoint, device: torch.device, *, dtype: str = "float32", compile: bool = False
) -> Checkpoint:
    """The same checkpoint in a precision, perhaps compiled, which halves batches beyond its memory.

    Args:
        dtype: a name in ``DTYPES``.

    Raises:
        InputError: it cannot be compiled here.
    """
    fast = in_dtype(checkpoint, DTYPES[dtype], device)
    if compile:
        fast = compiled(fast, device)
    return replace(fast, predict=WithinMemory(fast.predict))
