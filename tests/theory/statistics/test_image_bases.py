"""Cells: orthonormal coordinates, octaves, and what shrinking them apart is good for."""

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from theory.estimators.shift_selection import select_shift
from theory.forward.forward_pass import GROUPS
from theory.statistics.image_bases import (
    by_channel,
    by_dct_octave,
    by_pixel,
    dct,
    has_dct_bands,
    undivided,
)
from theory.statistics.moments import Moments
from theory.statistics.shrinkage import SHRUNK

SHAPES = [(1, 4, 4), (3, 8, 8), (1, 8, 6)]


def normal(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [undivided, by_dct_octave])
def test_coordinates_keep_norms_and_come_back(shape, kind):
    bands = kind(shape)
    flat = normal(0, 2, 5, torch.Size(shape).numel())
    turned = bands.coordinates(flat)
    assert torch.allclose(bands.flat(turned), flat, atol=1e-12)
    assert torch.allclose(turned.square().sum(-1), flat.square().sum(-1))
    assert torch.allclose(bands.energies(turned).sum(-1), flat.square().sum(-1))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_first_band_is_the_mean_of_each_channel(shape):
    bands = by_dct_octave(shape)
    means = normal(1, shape[0])[:, None, None].expand(shape).reshape(1, -1)
    energies = bands.energies(bands.coordinates(means.contiguous()))
    assert energies[0, 1:].abs().max() < 1e-24
    assert int((bands.index == 0).sum()) == shape[0]


def test_octaves_rise_with_the_frequency():
    index = by_dct_octave((1, 8, 8)).index.reshape(8, 8)
    assert index[0].tolist() == [0, 1, 2, 2, 3, 3, 3, 3]
    assert torch.equal(index, index.T)
    assert index[7, 7] == 4


@pytest.mark.parametrize("shape", [(7,), (1, 3, 8), (2, 2)])
def test_what_is_no_image_has_no_bands(shape):
    assert not has_dct_bands(shape)
    assert has_dct_bands((1, 4, 4))


@pytest.mark.parametrize("shape", SHAPES)
def test_cosines_are_scipys(shape):
    images = normal(3, 2, *shape)
    expected = dctn(images.numpy(), axes=(-2, -1), norm="ortho")
    assert np.allclose(dct(images.flatten(1), shape).numpy(), expected.reshape(2, -1))


def test_cells_of_channels_and_pixels():
    x = normal(4, 3, 2 * 4 * 4)
    assert torch.allclose(by_channel((2, 4, 4)).sums(x)[:, 1], x[:, 16:].sum(1))
    assert torch.equal(by_pixel((2, 4, 4)).sums(x), x)
    assert torch.allclose(undivided((2, 4, 4)).energies(x)[:, 0], x.square().sum(1))


def decided(eta, n=160, shape=(1, 8, 8)):
    units = eta + normal(2, n, *shape)
    moments = Moments.empty(shape, GROUPS)
    moments.add_(torch.arange(n) % GROUPS, units)
    one = torch.ones(1, dtype=torch.float64)
    return select_shift([moments], torch.zeros(1, dtype=torch.float64), one, SHRUNK)


def test_a_smooth_shift_is_shrunk_by_bands_and_a_rough_one_as_a_whole():
    tint = torch.full((1, 8, 8), 0.3, dtype=torch.float64)
    by_bands = decided(tint)
    assert by_bands.bands > 1
    error = (by_bands.shift[0] - tint).square().sum()
    as_a_whole = by_bands.estimate[0] * (1 - 64 / 160 / by_bands.estimate[0].square().sum())
    assert error < (as_a_whole - tint).square().sum() / 4
    rough = 0.3 * normal(5, 1, 8, 8)
    assert (decided(rough).shift[0] - rough).square().sum() < 64 / 160
