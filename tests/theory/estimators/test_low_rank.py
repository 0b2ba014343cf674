"""Maps from few features to every pixel."""

import torch

from theory.estimators.low_rank import explained, ridge_solvers

DRAWN = torch.Generator().manual_seed(0)
ROWS = torch.randn(20, 3, generator=DRAWN, dtype=torch.float64) * torch.tensor([1.0, 10.0, 0.1])
RESIDUALS = torch.randn(20, 4, generator=DRAWN, dtype=torch.float64)
SQUARE, CROSS = ROWS.T @ ROWS, ROWS.T @ RESIDUALS
NOTHING, UNSEEN = torch.zeros(3).double(), torch.tensor([1.0, 2.0, 3.0]).double()
NO_RIDGE = torch.zeros(1).double()


def test_a_map_without_ridge_solves_its_equations():
    """Whatever the units of the features are; one that does not vary has slope 0."""
    (plain,) = ridge_solvers(SQUARE, NO_RIDGE, NOTHING)
    assert torch.allclose(plain @ CROSS, torch.linalg.solve(SQUARE, CROSS))
    (more,) = ridge_solvers(SQUARE, NO_RIDGE, UNSEEN)
    assert torch.allclose(more @ CROSS, torch.linalg.solve(SQUARE + torch.diag(UNSEEN), CROSS))
    still = torch.diag(torch.tensor([4.0, 0.0], dtype=torch.float64))
    (found,) = ridge_solvers(still, NO_RIDGE + 1e-6, NOTHING[:2])
    mapped = found @ torch.tensor([[2.0], [0.0]], dtype=torch.float64)
    assert torch.allclose(mapped, torch.tensor([[0.5], [0.0]], dtype=torch.float64), atol=1e-5)


def test_a_ridge_is_a_share_of_each_feature():
    ridges = torch.tensor([0.1, 1.0], dtype=torch.float64)
    for ridge, found in zip(ridges, ridge_solvers(SQUARE, ridges, NOTHING), strict=True):
        penalized = SQUARE + ridge * torch.diag(SQUARE.diagonal())
        assert torch.allclose(found @ CROSS, torch.linalg.solve(penalized, CROSS))


def test_what_slopes_take_off_is_that_of_their_residuals():
    """Of rows other than those that the slopes are from."""
    own, residuals = ROWS.flip(0)[:7] + 1, RESIDUALS[:7]
    solvers = ridge_solvers(SQUARE, torch.tensor([0.0, 0.5], dtype=torch.float64), NOTHING)
    found = explained(solvers, CROSS, own.T @ own, own.T @ residuals)
    for gain, solver in zip(found, solvers, strict=True):
        left = residuals - own @ solver @ CROSS
        assert torch.isclose(gain, residuals.square().sum() - left.square().sum())
