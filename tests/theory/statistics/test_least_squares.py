"""Ridge regression on two features: LAPACK's slopes, shrinkage, and features that say nothing."""

import itertools

import torch

from tests.draws import normal
from theory.statistics.least_squares import explained_variance, of_left_out, of_others, ridge_slopes

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


def test_what_is_unseen_draws_a_cell_toward_the_whole():
    """(C + U) theta = c + U theta_whole, and one that does not vary has the slopes of the whole."""
    p, unseen = products(X, Y, R), torch.tensor([[0.3, 0.0, 2.0], [0.1, 4.0, 0.0]]).double()
    whole = ridge_slopes(p.sum(1, keepdim=True))[:, 0]
    found = ridge_slopes(p, unseen=unseen)
    for cell in range(3):
        xx, xy, yy, xr, yr, _ = p[:, cell]
        square = torch.stack([xx, xy, xy, yy]).reshape(2, 2) + torch.diag(unseen[:, cell])
        right = torch.stack([xr, yr]) + unseen[:, cell] * whole
        assert torch.allclose(found[:, cell], torch.linalg.solve(square, right), rtol=1e-6)
    some = unseen[:, :1].expand(2, 3)
    still = ridge_slopes(0 * p, whole=p.sum(1, keepdim=True), unseen=some)
    assert torch.allclose(still, whole[:, None].expand(2, 3))


def test_left_out_products_are_about_the_mean_of_the_others():
    """Those of a group, and those of all others, by a direct computation."""
    x, r = X.reshape(5, 10, 3), R.reshape(5, 10, 3)
    dx, dr = (v.mean(1) - v.mean((0, 1)) for v in (x, r))
    cx, cr = x - x.mean((0, 1)), r - r.mean((0, 1))
    square, cross = (cx * cx).mean(1), (cx * cr).mean(1)
    own_square = of_left_out(5, square, dx * dx, torch.tensor(False))
    own_cross = of_left_out(5, cross, dx * dr, torch.tensor(True))
    squares = of_others(5, square.sum(0), square, dx * dx)
    crosses = of_others(5, cross.sum(0), cross, dx * dr)
    for g in range(5):
        kept = [h for h in range(5) if h != g]
        about, r_about = x - x[kept].mean((0, 1)), r - r[kept].mean((0, 1))
        assert torch.allclose(own_square[g], (about * about)[g].mean(0))
        assert torch.allclose(own_cross[g], (about * cr)[g].mean(0))
        assert torch.allclose(squares[g], (about * about)[kept].mean((0, 1)))
        assert torch.allclose(crosses[g], (about * r_about)[kept].mean((0, 1)))


def test_left_out_products_are_on_average_what_a_new_image_shows():
    """Exactly: over all ways to draw three images of two kinds, each of one draw."""
    kinds = torch.tensor([[1.0, 2.0], [-1.0, 0.5]], dtype=torch.float64)
    truth = kinds - kinds.mean(0)
    found = []
    for draw in itertools.product(range(2), repeat=3):
        x, r = (kinds[list(draw)] - kinds[list(draw)].mean(0)).unbind(1)
        own_square = of_left_out(3, x * x, x * x, torch.tensor(False)).mean()
        found.append(
            torch.stack([own_square, of_left_out(3, x * r, x * r, torch.tensor(True)).mean()])
        )
    variance, covariance = truth[:, 0].square().mean(), truth.prod(1).mean()
    expected = torch.stack([variance + variance / 2, covariance])
    assert torch.allclose(torch.stack(found).mean(0), expected)
