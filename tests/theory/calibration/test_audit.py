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
