"""Claims judged in several processes at once, with the verdicts of one process.

A process is told a claim by its id and finds it in ``toy.claims.ALL``; cases and samples depend on
the seed alone, so the number of processes changes nothing but the time that it takes.
"""

import importlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial

import torch

from toy.claims.table import ALL
from toy.judge.verdicts import Verdict, judge

MOST_JOBS = 8
"""By default: the longest claim takes an eighth of the time of all of them."""


def default_jobs() -> int:
    """As many processes as there are cores to run on, up to ``MOST_JOBS``."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(cores, MOST_JOBS)


def verify_apart(ids: Sequence[str], examples: int, seed: int, jobs: int) -> Iterator[Verdict]:
    """The verdicts of these claims in this order, from so many processes."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(jobs, len(ids)), context, initializer=_prepare)
    try:
        with _deaf_children():
            verdicts = pool.map(partial(_judge_by_id, examples=examples, seed=seed), ids)
        yield from verdicts
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes begun here ignore interruptions until ``_prepare``: loading would end in a traceback."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _prepare() -> None:
    importlib.import_module("toy.cli")  # Hypothesis tries constants of the modules that are loaded
    torch.set_num_threads(1)  # the tensors are small
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupted process leaves without a word


def _judge_by_id(claim_id: str, examples: int, seed: int) -> Verdict:
    (claim,) = (claim for claim in ALL if claim.id == claim_id)
    return judge(claim, examples, seed)
