"""What a hostile file may cost: processor seconds, and memory beyond what the process has."""

import ctypes
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS, MEGABYTES = 2.0, 500.0
STATUS, PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _megabytes(what: str) -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


def _reset_peak() -> bool:
    """Forget the highest memory so far; False where the system has no such thing."""
    try:
        PEAK.write_text("5")
    except OSError:
        return False
    return True


@contextmanager
def within_limits(case: object, seconds: float = SECONDS) -> Iterator[None]:
    """Expect the block to take no more than ``seconds`` of processor time and ``MEGABYTES``."""
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)  # memory that was freed but not given back would hide what is taken
    counted = _reset_peak()
    before, begun = (_megabytes("VmRSS") if counted else 0.0), time.process_time()
    try:
        yield
    finally:  # a refusal has its price, too
        taken = time.process_time() - begun
        grown = _megabytes("VmHWM") - before if counted else 0.0
        assert taken <= seconds, f"{case!r:.80} took {taken:.1f} s"
        assert grown <= MEGABYTES, f"{case!r:.80} took {grown:.0f} MB"
