"""Ridge regression on two features: LAPACK's slopes, shrinkage, and features that say nothing."""

import torch

from tests.draws import normal
from theory.statistics.least_squares import explained_variance, ridge_slopes

X, Y, R = normal(0, 3, 50, 3)


def products(x, y, r):
    pairs = ((x, x), (x, y), (y, y), (x, r), (y, r), (r, r))
    return torch.stack([(u * v).mean(0) for u, v in pairs])


def test_least_squares_is_that_of_lapack():
    x, y, r = X, Y, R
    found = ridge_slopes(products(x, y, r))
    for cell in range(3):
        features = torch.stack([x[:, cell], y[:, cell]], 1)
        best = torch.linalg.lstsq(features, r[:, cell : cell + 1]).solution[:, 0]
        assert torch.allclose(found[:, cell], best, rtol=1e-6)
    left = (r - found[0] * x - found[1] * y).square().mean(0).sum()
    fall = r.square().mean(0).sum() - left
    assert torch.allclose(fall, explained_variance(found, products(x, y, r)), rtol=1e-10)


def test_a_ridge_pulls_cells_toward_the_whole():
    x, y, r = X, Y, R
    p = products(x, y, r)
    whole = ridge_slopes(p.sum(1, keepdim=True))
    distances = [(ridge_slopes(p, ridge) - whole).square().sum() for ridge in (0.01, 1.0, 1e6)]
    assert distances[0] > distances[1] > distances[2]
    assert torch.allclose(ridge_slopes(p, 1e9), whole.expand(2, 3), atol=1e-6)


def test_features_that_do_not_vary_or_are_collinear_have_finite_slopes():
    x, r = X, R
    for y in (0 * x, 2 * x):
        assert ridge_slopes(products(x, y, r)).isfinite().all()
        assert ridge_slopes(products(y, x, r)).isfinite().all()
    assert not ridge_slopes(products(0 * x, 0 * x, r)).any()
