"""Maps from few features to every pixel."""

import torch

from theory.estimators.low_rank import ridge_map


def test_a_map_without_ridge_solves_its_equations():
    """Whatever the units of the features are; one that does not vary has slope 0."""
    drawn = torch.Generator().manual_seed(0)
    rows = torch.randn(20, 3, generator=drawn, dtype=torch.float64) * torch.tensor([1.0, 10.0, 0.1])
    square, cross = rows.T @ rows, torch.randn(3, 4, generator=drawn, dtype=torch.float64)
    nothing = torch.zeros(3, dtype=torch.float64)
    assert torch.allclose(ridge_map(square, cross, 0.0, nothing), torch.linalg.solve(square, cross))
    unseen = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    direct = torch.linalg.solve(square + torch.diag(unseen), cross)
    assert torch.allclose(ridge_map(square, cross, 0.0, unseen), direct)
    still = torch.diag(torch.tensor([4.0, 0.0], dtype=torch.float64))
    mapped = ridge_map(still, torch.tensor([[2.0], [0.0]], dtype=torch.float64), 1e-6, nothing[:2])
    assert torch.allclose(mapped, torch.tensor([[0.5], [0.0]], dtype=torch.float64), atol=1e-5)
