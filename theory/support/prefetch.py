"""Prefetching: threads work on the next items while the caller uses the results so far."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    work: Callable[[Item], Result], items: Iterable[Item], depth: int
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with ``work(item)``, in order, while threads work on the next ``depth``.

    Items are taken from their iterable in the caller's thread.
    """
    with ThreadPoolExecutor(depth) as pool:
        waiting: deque[tuple[Item, Future[Result]]] = deque()
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) > depth:
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())


def _finished(item: Item, future: Future[Result]) -> tuple[Item, Result]:
    return item, future.result()
