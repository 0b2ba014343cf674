"""Processes that are forked from one in which the claims and their libraries are loaded."""

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

LOADED = ["toy.claims.table"]


def context() -> BaseContext:
    """How processes begin: forked from a server where that is possible, else anew."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    chosen = multiprocessing.get_context("forkserver")
    chosen.set_forkserver_preload(LOADED)
    return chosen


def begin_to_load() -> None:
    """Let the server load what it needs while this process does."""
    if context().get_start_method() == "forkserver":
        with interruptions_ignored():
            forkserver.ensure_running()


@contextmanager
def interruptions_ignored() -> Iterator[None]:
    """Processes begun within ignore interruptions until they are told otherwise: none leaves a traceback."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
