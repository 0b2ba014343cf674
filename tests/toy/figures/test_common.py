"""What figures share: bundles with the error of their mean, and exact intervals of frequencies."""

import pytest
import torch
from scipy.stats import beta

from tests.draws import normal
from toy.figures.common import SHOWN, Bundle, Frequencies


def test_a_bundle_has_the_error_of_its_mean_over_paths():
    values, times = normal(0, 5, 100), torch.linspace(1, 0, 5).double()
    bundle = Bundle.of(times, values)
    assert torch.allclose(bundle.mean, values.mean(1))
    assert torch.allclose(bundle.error, values.std(1) / 10)
    assert torch.equal(bundle.shown, values[:, :SHOWN])
    assert bundle.count == 100


def test_frequencies_have_exact_intervals_of_99_percent_with_half_a_percent_on_each_side():
    """Of 1, ..., 20: 20, 5 and none of them are at least 1, 16 and 30."""
    values, eps = torch.arange(1, 21).double(), torch.tensor([1.0, 16.0, 30.0]).double()
    found = Frequencies.of(values, eps)
    assert found.share.tolist() == [1.0, 0.25, 0.0]
    lower = [beta.ppf(0.005, 20, 1), beta.ppf(0.005, 5, 16), 0.0]
    upper = [1.0, beta.ppf(0.995, 6, 15), beta.ppf(0.995, 1, 20)]
    assert found.lower.tolist() == pytest.approx(lower)
    assert found.upper.tolist() == pytest.approx(upper)
