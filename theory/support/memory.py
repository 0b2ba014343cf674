"""How much memory there is, and what tells that an error is one of memory."""

import math
import os
from pathlib import Path
from typing import Any

import torch

from theory.support.torchrun import process_count_here

TABLE = Path("/proc/meminfo")
LIMIT, USED = (Path(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
"""Of a container (control groups, version 2)."""

SIGNS = ("out of memory", "not enough memory", "can't allocate memory", "status_alloc_failed")
"""Parts of the messages of CUDA, MPS, the CPU's allocator, cuBLAS and cuDNN."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in SIGNS)


def available_memory(device: Any = None) -> float:
    """Bytes that can be taken here, and on a CUDA device; infinity where the system does not tell.

    Processes of torchrun on one machine have equal parts of its memory, and a device each.
    """
    found = [own / process_count_here() for own in (_of_machine(), _of_container())]
    if device is not None and torch.device(device).type == "cuda":
        found.append(float(torch.cuda.mem_get_info(device)[0]))
    return min(found)


def _of_machine() -> float:
    try:
        rows = dict(line.split(":", 1) for line in TABLE.read_text().splitlines())
        return 1024.0 * int(rows["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        pass
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        return math.inf


def _of_container() -> float:
    try:
        return float(LIMIT.read_text()) - float(USED.read_text())
    except (OSError, ValueError):  # none, or "max"
        return math.inf
