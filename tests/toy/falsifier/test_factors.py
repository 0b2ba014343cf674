"""A factor that is the same everywhere is told by its value, or by what it has more than one."""

import math

import pytest
import torch

from toy.falsifier.mistakes import constant_factor

RIGHT = torch.linspace(1, 2, 20, dtype=torch.float64)


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (1.05, "everywhere 1.05 times what it should be"),
        (0.9, "everywhere 0.9 times what it should be"),
        (1.0004, "everywhere 1 +0.0004 times what it should be: a constant with few digits?"),
        (0.9998, "everywhere 1 -0.0002 times what it should be: a constant with few digits?"),
        (1000.0, "everywhere 1000 times what it should be: a time in thousandths"),
        (math.pi / 180, "everywhere 0.0174533 times what it should be: degrees for radians"),
        (math.log(10), "everywhere 2.30259 times what it should be: log10 for log"),
        (0.5 / math.pi, "everywhere 0.159155 times what it should be: 2 pi"),
        (1 + 1e-10, ""),
        (0.0, ""),
    ],
)
def test_a_factor_is_told_as_plainly_as_it_can_be(factor, said):
    assert constant_factor(factor * RIGHT, RIGHT) == said


def test_what_varies_and_what_is_few_has_no_factor():
    assert constant_factor(RIGHT * RIGHT, RIGHT) == ""
    assert constant_factor(1.5 * RIGHT[:2], RIGHT[:2]) == ""
    assert constant_factor(1.5 * RIGHT[:3], RIGHT[:3]) == "everywhere 1.5 times what it should be"
