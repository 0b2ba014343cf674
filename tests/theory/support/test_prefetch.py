"""Prefetching: the same results in the same order, so far ahead and no further."""

import threading

import pytest

from theory.support.prefetch import prefetch


def test_results_come_in_the_order_of_the_items():
    assert list(prefetch(lambda n: n * n, range(20), 3)) == [(n, n * n) for n in range(20)]
    assert list(prefetch(str, [], 2)) == []


def test_no_more_items_are_taken_than_asked_for():
    taken = []

    def items():
        for n in range(10):
            taken.append(n)
            yield n

    results = prefetch(lambda n: n, items(), 2)
    assert next(results) == (0, 0)
    assert taken == [0, 1, 2]
    results.close()
    assert taken == [0, 1, 2]


def test_work_goes_on_while_a_result_is_used():
    begun = threading.Event()

    def work(n):
        if n == 1:
            begun.set()
        return n

    results = prefetch(work, range(3), 1)
    assert next(results) == (0, 0)
    assert begun.wait(10)
    results.close()


def test_an_error_reaches_the_caller():
    def work(n):
        if n == 2:
            raise ValueError("two")
        return n

    results = prefetch(work, range(5), 1)
    assert [next(results)[1] for _ in range(2)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)


def test_as_many_are_worked_on_at_once_as_asked_for():
    """Each waits for two others."""
    together = threading.Barrier(3)

    def work(n):
        together.wait(10)
        return n

    assert [result for _, result in prefetch(work, range(6), 3)] == list(range(6))
