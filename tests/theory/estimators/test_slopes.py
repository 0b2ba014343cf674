"""Slopes are applied as they say."""

import torch

from theory.estimators.parts import Prediction
from theory.estimators.slopes import Slopes
from theory.estimators.time_grid import Between
from theory.forward.keyed_noise import keyed_noise
from theory.statistics.image_bases import dct, inverse_dct

SHAPE = (2, 4, 4)
ZERO, ONE = torch.tensor([0]), torch.tensor([1])


def draw(purpose, *shape):
    return keyed_noise(0, purpose, 0, 0, torch.arange(shape[0]), tuple(shape[1:]))


OFFSET, PIXEL, COSINE = (
    draw("offset", 2, *SHAPE),
    draw("pixel", 2, 2, *SHAPE),
    draw("c", 2, 2, *SHAPE),
)
X, Y = draw("x", 3, *SHAPE), draw("y", 3, *SHAPE)


def slopes(cosine=None):
    return Slopes(
        OFFSET, PIXEL, cosine, ("pixel", "pixel"), torch.zeros(2).double(), torch.zeros(2).double()
    )


def between_times(later):
    return Between(ZERO, ONE, later, torch.ones(1).bool(), torch.ones(1).double())


def at(k, cosine=False):
    result = OFFSET[k] + PIXEL[k, 0] * X + PIXEL[k, 1] * Y
    if cosine:
        for values, slope in zip((X, Y), COSINE[k], strict=True):
            spectrum = slope.flatten() * dct(values.flatten(1), SHAPE)
            result = result + inverse_dct(spectrum, SHAPE).reshape(values.shape)
    return result


def test_the_correction_at_a_time_and_between_two():
    weight = torch.tensor([0.25], dtype=torch.float64)
    between = slopes().correction(between_times(weight), Prediction(X, Y))
    assert torch.allclose(between, 0.75 * at(0) + 0.25 * at(1), atol=1e-12)
    assert not torch.allclose(between, at(0), atol=1e-2)


def test_the_correction_on_cosines():
    left = slopes(COSINE).correction(between_times(torch.zeros(1).double()), Prediction(X, Y))
    assert torch.allclose(left, at(0, cosine=True), atol=1e-12)
    assert not torch.allclose(left, at(0), atol=1e-2)
