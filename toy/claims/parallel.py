"""Claims judged in several processes, with the verdicts that one process would give.

A process finds a claim in the table by its id. Cases and samples depend on the seed alone, so that the
number of processes changes the time only.
"""

import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import torch

from theory.support.errors import InputError
from toy.claims.processes import context, interruptions_ignored
from toy.claims.table import ALL
from toy.judge.verdicts import Verdict, judge

GRACE = 1.0
"""Seconds for an interruption of all processes to come to this one too, if another was first."""


def verify_in_processes(
    ids: Sequence[str], examples: int, seed: int, jobs: int
) -> Iterator[Verdict]:
    """The verdicts of these claims in this order, from so many processes.

    Raises:
        InputError: one of the processes was lost.
    """
    pool = ProcessPoolExecutor(min(jobs, len(ids)), context(), _prepare)
    try:
        with interruptions_ignored():
            verdicts = pool.map(partial(_judge_by_id, examples=examples, seed=seed), ids)
        yield from verdicts
    except BrokenProcessPool as error:
        time.sleep(GRACE)
        raise InputError(
            "a process was lost: killed, or out of memory? --jobs 1 needs none"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare() -> None:
    torch.set_num_threads(1)  # the tensors are small
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupted process leaves without a word


def _judge_by_id(claim_id: str, examples: int, seed: int) -> Verdict:
    (claim,) = (claim for claim in ALL if claim.id == claim_id)
    return judge(claim, examples, seed)
