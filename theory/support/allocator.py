"""What becomes of memory that is freed, where glibc allocates it."""

import ctypes
from contextlib import suppress

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's ``mallopt``, numbered as in malloc.h."""

KEPT = 2**30
"""Bytes: larger blocks go back to the system at once, and so does more than this that is unused."""


def keep_freed_memory() -> None:
    """Keep what is freed for the next call of a network, whose activations are as large.

    By default glibc gives blocks of 32 MB and more back at once, and the system has to make every
    page of them anew. It concerns the whole process, so that a program does it, and no library.
    """
    with suppress(OSError, AttributeError, TypeError):  # another libc, or another system
        libc = ctypes.CDLL(None)
        libc.mallopt(MMAP_THRESHOLD, KEPT)
        libc.mallopt(TRIM_THRESHOLD, KEPT)


def release_memory() -> None:
    """Give memory that this process does not use any more back to the system: glibc keeps it else."""
    with suppress(OSError, AttributeError, TypeError):  # another libc, or another system
        ctypes.CDLL(None).malloc_trim(0)
