"""Weights shared by cells: by hand, and in the coordinates of the partition."""

import pytest
import torch

from tests.refusals import refusal
from theory.sampling.cells import CellWeights, kinds_for, partition
from theory.statistics.image_bases import dct, inverse_dct

SHAPE = (2, 4, 4)
X, Y = torch.randn(2, 3, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_channels_have_weights_of_their_own():
    weights = torch.tensor([[2.0, 3.0], [-1.0, 5.0]]).double()
    made = CellWeights(partition("channel", SHAPE), weights).apply([X, Y])
    assert torch.allclose(made[:, 0], 2 * X[:, 0] - Y[:, 0])
    assert torch.allclose(made[:, 1], 3 * X[:, 1] + 5 * Y[:, 1])


@pytest.mark.parametrize("kind", ["octave", "frequency"])
def test_frequencies_are_weighted_in_their_own_basis(kind):
    cells = partition(kind, SHAPE)
    weights = torch.linspace(-1, 2, 2 * cells.count, dtype=torch.float64).reshape(2, -1)
    of_x, of_y = weights[:, cells.index]
    expected = inverse_dct(of_x * dct(X.flatten(1), SHAPE) + of_y * dct(Y.flatten(1), SHAPE), SHAPE)
    assert torch.allclose(CellWeights(cells, weights).apply([X, Y]).flatten(1), expected)


def test_missing_features_count_as_zero_and_none_is_refused():
    made = CellWeights(partition("whole", SHAPE), torch.tensor([[2.0], [7.0]]).double())
    assert torch.allclose(made.apply([X]), 2 * X)
    with refusal("expected weights of a feature at least"):
        CellWeights(made.cells, torch.zeros(0, 1).double()).apply([X])


def test_images_have_the_partitions_that_differ_for_their_shape():
    assert kinds_for((2, 4, 4)) == ("whole", "channel", "pixel", "octave", "frequency")
    assert kinds_for((1, 4, 4)) == ("whole", "pixel", "octave", "frequency")
    assert kinds_for((7,)) == ("whole", "pixel")
