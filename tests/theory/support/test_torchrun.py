"""What torchrun says of a process, and what a process is without it."""

import pytest

from tests.refusals import refusal
from theory.support.torchrun import (
    process_count,
    process_count_here,
    process_rank,
    process_rank_here,
    under_torchrun,
)

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@pytest.fixture
def told(monkeypatch):
    """Makes these the only things that are told."""

    def tell(**values):
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        return process_rank(), process_count(), process_rank_here(), process_count_here()

    return tell


def test_a_process_of_a_second_machine(told):
    assert told(RANK="5", WORLD_SIZE="8", LOCAL_RANK="1", LOCAL_WORLD_SIZE="4") == (5, 8, 1, 4)
    assert under_torchrun()


@pytest.mark.parametrize("one", [{}, {"RANK": "3"}, {"WORLD_SIZE": "8"}, {"LOCAL_RANK": "2"}])
def test_without_rank_and_count_a_process_is_alone(told, one):
    assert told(**one) == (0, 1, 0, 1)
    assert not under_torchrun()


def test_a_launcher_that_counts_nobody_here_counts_this_one(told):
    assert told(RANK="0", WORLD_SIZE="2", LOCAL_WORLD_SIZE="0") == (0, 2, 0, 1)


def test_what_is_no_number_is_one_line(told):
    with refusal("torchrun: expected a number in WORLD_SIZE, got 'two'"):
        told(RANK="0", WORLD_SIZE="two")
