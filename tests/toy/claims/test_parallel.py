"""Claims judged in several processes."""

import os

import pytest

from theory.support.errors import InputError
from toy.claims import parallel
from toy.claims.table import ALL
from toy.judge.verdicts import judge


def lose_the_process(*_, **__):
    os._exit(1)


def test_a_lost_process_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr(parallel, "_judge_by_id", lose_the_process)
    monkeypatch.setattr(parallel, "GRACE", 0.0)
    with pytest.raises(InputError, match="a process was lost"):
        list(parallel.verify_in_processes(["martingale"], 1, 0, 2))


def test_a_process_judges_the_claim_as_often_and_with_the_seed_that_is_asked_for():
    (claim,) = (claim for claim in ALL if claim.id == "conversion")
    found = [parallel._judge_by_id(claim.id, *asked) for asked in ((3, 5), (4, 5), (3, 6))]
    assert found[0] == judge(claim, 3, 5)
    assert len({verdict.evidence.cases for verdict in found}) == 3
