"""The audit: what published norms say of noise."""

import pytest
import torch

from theory.calibration.audit import audit


def test_audit_finds_the_signal_under_the_noise():
    """Norms as they are expected for |eta|^2 = 1, d = 1000 and N = 500, all of it independent."""
    n, d = 500, 1000
    energy = torch.full((3,), 900.0, dtype=torch.float64)
    mean_sq = 1 + (energy - 1) / n
    found = audit(mean_sq, 0.2 * mean_sq, energy, n, d)
    assert found.surviving.sample == pytest.approx(0.3, rel=5e-3)
    assert found.net.sample == pytest.approx(0.3 - 0.1 * 3 * 899 / n, rel=1e-2)
    assert found.claimed == pytest.approx(0.1 * mean_sq.sum().item())
    assert found.surviving.population > found.surviving.sample
    assert audit(mean_sq, 0.2 * mean_sq, energy, 2 * n, d).surviving.sample > 0.5


def test_the_noise_of_images_that_are_the_population_by_hand():
    """d = 10, E|y|^2 = 8, |mean|^2 = 3: V is 5 for a sample; for a population 2 of it are its spread."""
    weighted = torch.tensor([6.0, 12.0], dtype=torch.float64)
    mean_sq, energy = torch.full((2,), 3.0).double(), torch.full((2,), 8.0).double()
    found = audit(mean_sq, weighted, energy, 5, 10)
    assert found.floor_sample.tolist() == pytest.approx([1.0, 1.0])
    assert found.floor_population.tolist() == pytest.approx([0.6, 0.6])
    assert found.claimed == pytest.approx(9.0)
    assert (found.surviving.sample, found.surviving.population) == pytest.approx((6.0, 7.2))
    assert (found.net.sample, found.net.population) == pytest.approx((3.0, 5.4))
