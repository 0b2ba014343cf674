"""The test of mean zero: what it finds, how it stops, and that batches change nothing."""

import pytest
import torch
from scipy.stats import binom

from tests.draws import normal
from theory.statistics.mean_zero_test import MeanZeroTest
from theory.support.errors import InputError

SHIFT = torch.tensor([0.1, -0.1, 0.05, 0.0], dtype=torch.float64)


def vectors(n, shift, seed=0):
    """Uniform in [-0.5, 0.5] around a shift."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 4, generator=generator, dtype=torch.float64) - 0.5 + shift


def tried(values, batch=1000, threshold=20.0):
    test = MeanZeroTest(1.0, threshold)
    for part in values.split(batch):
        test.add_(part)
    return test


def test_a_mean_is_found_and_the_test_stops_there():
    found = tried(vectors(1000, SHIFT))
    assert found.rejected
    assert found.count < 400


def test_it_rejects_seldom_where_the_mean_is_zero():
    repetitions = 400
    rejected = sum(tried(vectors(200, 0.0, seed)).rejected for seed in range(repetitions))
    assert rejected <= binom.isf(1e-6, repetitions, 0.05)


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_batches_change_nothing(batch):
    for shift in (0.0, SHIFT):
        whole, parts = tried(vectors(300, shift)), tried(vectors(300, shift), batch)
        assert parts.count == whole.count
        assert abs(parts.log_e_value - whole.log_e_value) < 1e-9


def test_nothing_is_bet_after_the_threshold():
    values = vectors(1000, SHIFT)
    found = tried(values)
    again = tried(values[: found.count])
    assert (again.count, again.log_e_value) == (found.count, found.log_e_value)
    assert not tried(values[: found.count - 1]).rejected


def test_images_are_vectors_too():
    images = vectors(50, SHIFT).reshape(50, 1, 2, 2)
    assert tried(images).log_e_value == tried(images.flatten(1)).log_e_value


def test_vectors_beyond_the_reach_are_refused():
    with pytest.raises(InputError, match="betting: expected vectors within the reach"):
        tried(10 * normal(0, 5, 3))


def test_projections_by_hand():
    """v.r / |v|_1 with v the sum so far, which is zero to begin with."""
    along = MeanZeroTest(5.0, 20.0).projections(torch.tensor([[3.0, -4.0], [1.0, 2.0]]).double())
    assert along.tolist() == [0.0, (3 - 8) / 7]
