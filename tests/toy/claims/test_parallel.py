"""Claims judged in several processes."""

import os

import pytest

from theory.support.errors import InputError
from toy.claims import parallel


def lose_the_process(*_, **__):
    os._exit(1)


def test_a_lost_process_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr(parallel, "_judge_by_id", lose_the_process)
    monkeypatch.setattr(parallel, "GRACE", 0.0)
    with pytest.raises(InputError, match="a process was lost"):
        list(parallel.verify_in_processes(["martingale"], 1, 0, 2))
