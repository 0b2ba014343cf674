"""How much memory there is: the least of what the machine and its container have left."""

import os

import pytest

from theory.support import memory
from theory.support.memory import available_memory, is_out_of_memory

TABLE = "MemTotal:  8000 kB\nMemFree:  100 kB\nMemAvailable:  2000 kB\n"


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Writes what the system says of the machine, and of the container's limit and use."""
    for name in ("TABLE", "LIMIT", "USED"):
        monkeypatch.setattr(memory, name, tmp_path / name)

    def says(**texts):
        for name, text in texts.items():
            (tmp_path / name).write_text(text)
        return available_memory()

    return says


def test_the_least_of_what_machine_and_container_have_left(system):
    assert system(TABLE=TABLE) == 2000 * 1024
    assert system(LIMIT="1500000\n", USED="500000\n") == 1_000_000
    assert system(LIMIT="9000000000") == 2000 * 1024
    assert system(LIMIT="max") == 2000 * 1024


def test_a_system_without_a_table_has_what_is_built_in(system):
    built_in = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert system() == system(TABLE="nothing") == built_in


def test_the_message_of_an_apple_gpu_is_known():
    assert is_out_of_memory(RuntimeError("MPS backend: not enough memory for this"))
