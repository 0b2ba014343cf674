"""Student's lower bounds with Bonferroni's correction, and where nothing is certain."""

import math

import torch
from scipy.stats import t as student

from tests.draws import normal
from theory.statistics.intervals import LEVEL
from theory.statistics.lower_bounds import lower_bounds


def test_bounds_are_students():
    gains = normal(0, 8, 2) + 1
    expected = gains.mean(0) - student.isf((1 - LEVEL) / 3, 7) * gains.std(0) * math.sqrt(2 / 8)
    assert torch.allclose(lower_bounds(gains, 3), expected, atol=1e-12)
    assert (lower_bounds(gains, 30) < lower_bounds(gains, 3)).all()


def test_nothing_is_certain_of_few_groups_or_of_what_is_not_finite():
    assert lower_bounds(normal(0, 2, 2), 1).eq(-math.inf).all()
    assert lower_bounds(torch.full((5, 2), math.inf, dtype=torch.float64), 1).eq(-math.inf).all()
