"""Run a network well: half precision, compilation, within memory, at the best batch size.

Imports ``real.families``.
"""

from dataclasses import replace

import torch

from real.families.checkpoint import Checkpoint
from real.running.batch_size import best_batch_size, timed
from real.running.going_on import going_on
from real.running.memory import WithinMemory, require_memory
from real.running.precision import DTYPES, channels_last, compiled, in_dtype
from real.running.resumable import resumable
from real.running.throughput import Timing, bare_calls, take_turns

__all__ = [
    "DTYPES",
    "Timing",
    "WithinMemory",
    "bare_calls",
    "best_batch_size",
    "channels_last",
    "compiled",
    "going_on",
    "in_dtype",
    "require_memory",
    "resumable",
    "run_well",
    "take_turns",
    "timed",
]


def run_well(
    checkpoint: Checkpoint,
    device: torch.device,
    *,
    dtype: str = "float32",
    compile: bool = False,
    channels_behind: bool = False,
) -> Checkpoint:
    """The same checkpoint in a precision, perhaps compiled, which halves batches beyond its memory.

    Args:
        checkpoint: the network.
        device: where it runs.
        dtype: a name in ``DTYPES``.
        compile: whether it is compiled.
        channels_behind: whether images and weights lie in memory with their channels last.

    Raises:
        InputError: it cannot be compiled here, or names no modules to compile or to lay out.
    """
    fast = channels_last(checkpoint) if channels_behind else checkpoint
    fast = in_dtype(fast, DTYPES[dtype], device)
    if compile:
        fast = compiled(fast, device)
    return replace(fast, predict=WithinMemory(fast.predict))
