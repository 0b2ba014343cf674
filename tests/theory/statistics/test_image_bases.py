"""Image bases: orthonormal coordinates, scipy's DCT, and what the cells of each partition are."""

import numpy as np
import torch
from scipy.fft import dctn

from tests.draws import normal
from theory.statistics.image_bases import (
    by_channel,
    by_dct_octave,
    by_pixel,
    dct,
    has_dct_bands,
    undivided,
)

SHAPES = [(1, 4, 4), (3, 8, 8), (1, 8, 6)]


def test_coordinates_keep_norms_and_come_back():
    for shape in SHAPES:
        for kind in (undivided, by_dct_octave):
            bands = kind(shape)
            flat = normal(0, 2, 5, torch.Size(shape).numel())
            turned = bands.coordinates(flat)
            assert torch.allclose(bands.flat(turned), flat, atol=1e-12), (shape, kind)
            assert torch.allclose(turned.square().sum(-1), flat.square().sum(-1)), (shape, kind)
            energy = bands.energies(turned).sum(-1)
            assert torch.allclose(energy, flat.square().sum(-1)), (shape, kind)


def test_the_first_octave_is_the_mean_of_each_channel():
    for shape in SHAPES:
        bands = by_dct_octave(shape)
        means = normal(1, shape[0])[:, None, None].expand(shape).reshape(1, -1)
        energies = bands.energies(bands.coordinates(means.contiguous()))
        assert energies[0, 1:].abs().max() < 1e-24, shape
        assert int((bands.index == 0).sum()) == shape[0], shape


def test_octaves_rise_with_the_frequency():
    index = by_dct_octave((1, 8, 8)).index.reshape(8, 8)
    assert index[0].tolist() == [0, 1, 2, 2, 3, 3, 3, 3]
    assert torch.equal(index, index.T)
    assert index[7, 7] == 4


def test_a_frequency_counts_alike_along_both_sides_of_an_oblong_image():
    index = by_dct_octave((1, 4, 8)).index.reshape(4, 8)
    assert torch.equal(index[:, :4], by_dct_octave((1, 4, 4)).index.reshape(4, 4))
    assert torch.equal(index, by_dct_octave((1, 8, 8)).index.reshape(8, 8)[:4])


def test_what_is_no_image_has_no_bands():
    assert not any(map(has_dct_bands, [(7,), (1, 3, 8), (2, 2)]))
    assert all(map(has_dct_bands, SHAPES))


def test_the_dct_is_scipys():
    for shape in SHAPES:
        images = normal(3, 2, *shape)
        expected = dctn(images.numpy(), axes=(-2, -1), norm="ortho")
        assert np.allclose(dct(images.flatten(1), shape).numpy(), expected.reshape(2, -1)), shape


def test_cells_of_channels_and_pixels():
    x = normal(4, 3, 2 * 4 * 4)
    assert torch.allclose(by_channel((2, 4, 4)).sums(x)[:, 1], x[:, 16:].sum(1))
    assert torch.equal(by_pixel((2, 4, 4)).sums(x), x)
    assert torch.allclose(undivided((2, 4, 4)).energies(x)[:, 0], x.square().sum(1))
