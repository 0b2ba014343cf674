"""Slopes are applied as they say, and least squares finds them."""

import torch

from theory.estimators.slopes import Slopes
from theory.estimators.time_grid import Between
from theory.forward.keyed_noise import keyed_noise
from theory.statistics.image_bases import dct, inverse_dct
from theory.statistics.least_squares import explained_variance, ridge_slopes

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
    between = slopes().correction(between_times(weight), X, Y, None)
    assert torch.allclose(between, 0.75 * at(0) + 0.25 * at(1), atol=1e-12)
    assert not torch.allclose(between, at(0), atol=1e-2)


def test_the_correction_on_cosines():
    left = slopes(COSINE).correction(between_times(torch.zeros(1).double()), X, Y, None)
    assert torch.allclose(left, at(0, cosine=True), atol=1e-12)
    assert not torch.allclose(left, at(0), atol=1e-2)


def products(x, y, r):
    pairs = ((x, x), (x, y), (y, y), (x, r), (y, r), (r, r))
    return torch.stack([(u * v).mean(0) for u, v in pairs])


def test_least_squares_is_that_of_lapack():
    x, y, r = (draw(name, 50, 3) for name in ("f", "g", "r"))
    found = ridge_slopes(products(x, y, r))
    for cell in range(3):
        features = torch.stack([x[:, cell], y[:, cell]], 1)
        best = torch.linalg.lstsq(features, r[:, cell : cell + 1]).solution[:, 0]
        assert torch.allclose(found[:, cell], best, rtol=1e-6)
    left = (r - found[0] * x - found[1] * y).square().mean(0).sum()
    fall = r.square().mean(0).sum() - left
    assert torch.allclose(fall, explained_variance(found, products(x, y, r)), rtol=1e-10)


def test_a_ridge_pulls_cells_toward_the_whole():
    x, y, r = (draw(name, 50, 3) for name in ("f", "g", "r"))
    p = products(x, y, r)
    whole = ridge_slopes(p.sum(1, keepdim=True))
    distances = [(ridge_slopes(p, ridge) - whole).square().sum() for ridge in (0.01, 1.0, 1e6)]
    assert distances[0] > distances[1] > distances[2]
    assert torch.allclose(ridge_slopes(p, 1e9), whole.expand(2, 3), atol=1e-6)


def test_features_that_do_not_vary_or_are_collinear_have_finite_slopes():
    x, r = draw("f", 50, 3), draw("r", 50, 3)
    for y in (0 * x, 2 * x):
        assert ridge_slopes(products(x, y, r)).isfinite().all()
        assert ridge_slopes(products(y, x, r)).isfinite().all()
    assert not ridge_slopes(products(0 * x, 0 * x, r)).any()
