"""A shift that stands for no density is refused."""

import math

import pytest

from theory.errors import InputError
from theory.tilting import require_finite


def laplace(x):
    return -math.copysign(1.0, x)


def student(x):
    return -4 * x / (3 + x**2)


def cauchy_left_gauss_right(x):
    return -x if x > 0 else -2 * x / (1 + x**2)


def barely(x):
    return -x / (1 + x**2)


@pytest.mark.parametrize(
    ("score", "eta"),
    [(lambda x: -x, 100.0), (laplace, 0.999), (student, 0.0), (cauchy_left_gauss_right, -1.0)],
)
def test_finite_integrals_pass(score, eta):
    require_finite(score, eta)


@pytest.mark.parametrize(
    ("score", "eta"),
    [
        (laplace, 1.001),
        (laplace, -1.001),
        (student, 1e-3),
        (cauchy_left_gauss_right, 1.0),
        (barely, 0.0),
        (lambda x: 0.0, 0.0),
        (lambda x: math.nan, 0.0),
    ],
)
def test_infinite_integrals_are_refused(score, eta):
    with pytest.raises(InputError, match="infinite integral"):
        require_finite(score, eta)
