"""A shift that stands for no density is refused."""

import math

import pytest
import torch

from theory.bounds.tilting import circle, require_normalizable, require_normalizable_along
from theory.support.errors import InputError


def laplace(x):
    return -math.copysign(1.0, x)


def student(x):
    return -4 * x / (3 + x**2)


def cauchy_left_gauss_right(x):
    return -x if x > 0 else -2 * x / (1 + x**2)


def barely(x):
    return -x / (1 + x**2)


FINITE = (
    (lambda x: -x, 100.0), (laplace, 0.999), (student, 0.0), (cauchy_left_gauss_right, -1.0),
)  # fmt: skip
INFINITE = (
    (laplace, 1.001), (laplace, -1.001), (student, 1e-3), (cauchy_left_gauss_right, 1.0),
    (barely, 0.0), (lambda x: 0.0, 0.0), (lambda x: math.nan, 0.0),
)  # fmt: skip


def test_only_infinite_integrals_are_refused():
    for score, eta in FINITE:
        require_normalizable(score, eta)
    for score, eta in INFINITE:
        with pytest.raises(InputError, match="infinite integral"):
            require_normalizable(score, eta)


def round_laplace(x):
    return -x / x.norm(dim=1, keepdim=True)


def square_laplace(x):
    return -torch.sign(x)


def plane_student(x):
    return -5 * x / (3 + x.square().sum(1, keepdim=True))


def too_slow(x):
    """Of a density that falls as |x|^-2, which is infinite in the plane though not on the line."""
    return -2 * x / (1 + x.square().sum(1, keepdim=True))


def plane(first, second):
    return torch.tensor([first, second], dtype=torch.float64)


FINITE_IN_THE_PLANE = (
    (lambda x: -x, plane(30.0, -40.0)), (round_laplace, plane(0.6, 0.79)),
    (square_laplace, plane(0.97, -0.97)), (plane_student, plane(0.0, 0.0)),
)  # fmt: skip
INFINITE_IN_THE_PLANE = (
    (round_laplace, plane(0.61, 0.8)), (square_laplace, plane(1.01, 0.0)),
    (square_laplace, plane(0.9, 1.1)), (plane_student, plane(1e-3, 0.0)),
    (too_slow, plane(0.0, 0.0)), (lambda x: x * math.nan, plane(0.0, 0.0)),
)  # fmt: skip


def test_only_infinite_integrals_in_the_plane_are_refused():
    for score, eta in FINITE_IN_THE_PLANE:
        require_normalizable_along(score, eta, circle(360))
    for score, eta in INFINITE_IN_THE_PLANE:
        with pytest.raises(InputError, match="infinite integral"):
            require_normalizable_along(score, eta, circle(360))


def test_tails_are_probed_at_distances_in_units_of_the_scale():
    def farthest(scale):
        """On the line and in the plane."""
        line, space = [], []
        require_normalizable(lambda x: line.append(abs(x)) or -x, 0.0, scale)
        require_normalizable_along(
            lambda x: space.append(x.norm(dim=1).max().item()) or -x,
            plane(0.0, 0.0),
            circle(4),
            scale,
        )
        return torch.tensor([max(line), max(space)])

    assert torch.equal(farthest(8.0), 8 * farthest(1.0))


def test_a_circle_has_the_axes():
    expected = torch.tensor([[1, 0], [0, 1], [-1, 0], [0, -1]], dtype=torch.float64)
    torch.testing.assert_close(circle(8)[::2], expected)
