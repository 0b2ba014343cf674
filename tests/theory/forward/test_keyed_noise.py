"""Noise belongs to the image: whatever the batches, it is the same; whatever the key, independent."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, norm

from theory.forward.keyed_noise import BITS, keyed_noise, keyed_words, normals

LEVEL = 1e-6
IMAGES, SHAPE = 3000, (5, 7)
KEY = {"seed": 1, "purpose": "calibrate", "time_index": 2, "draw": 3}
OTHER_KEYS = [{"seed": 2}, {"purpose": "validate"}, {"time_index": 3}, {"draw": 2}]


def draw(first_image=0, images=IMAGES, shape=SHAPE, **changed):
    indices = torch.arange(first_image, first_image + images)
    return keyed_noise(**KEY | changed, images=indices, shape=shape)


def keyed_by_batch(first_image, images, shape):
    """A mistake: the noise of a batch depends on where the batch starts."""
    return draw(0, images, shape, time_index=first_image)


def depends_on_batches(noise, first, sizes, shape):
    starts = itertools.accumulate(sizes[:-1], initial=first)
    parts = [noise(start, size, shape) for start, size in zip(starts, sizes, strict=True)]
    return not torch.equal(torch.cat(parts), noise(first, sum(sizes), shape))


@given(
    st.integers(0, 1000),
    st.lists(st.integers(1, 5), min_size=1, max_size=6),
    st.lists(st.integers(1, 4), min_size=0, max_size=3).map(tuple),
)
def test_batches_never_change_the_noise(first, sizes, shape):
    assert not depends_on_batches(draw, first, sizes, shape)


@given(st.permutations(range(12)))
def test_images_in_any_order_keep_their_noise(order):
    indices = torch.tensor(order)
    shuffled = keyed_noise(**KEY, images=indices, shape=SHAPE)
    assert torch.equal(shuffled, draw(images=12)[indices])


def test_noise_keyed_by_batch_is_told_apart():
    assert depends_on_batches(keyed_by_batch, 0, [2, 3], SHAPE)


def test_the_noise_of_one_image_does_not_depend_on_how_many_there_are():
    assert torch.equal(draw(images=2), draw(images=9)[:2])
    assert not torch.equal(draw(first_image=1, images=2), draw(images=9)[:2])


def share_values(one, other):
    return bool(torch.isin(one, other).any())


@pytest.mark.parametrize("other", OTHER_KEYS, ids=lambda key: next(iter(key)))
def test_another_key_gives_other_noise(other):
    assert not share_values(draw(images=100), draw(images=100, **other))


def test_the_same_key_gives_the_same_noise():
    assert torch.equal(draw(images=100), draw(images=100))
    assert share_values(draw(images=100), draw(first_image=99, images=100))


def test_images_share_no_values():
    values = draw(images=1000).flatten()
    assert len(values.unique()) == len(values)
    assert len(torch.cat([values, values[:1]]).unique()) == len(values)


def distribution_p_value(noise):
    return kstest(noise.flatten().numpy(), norm.cdf).pvalue


def test_noise_is_standard_normal():
    noise = draw()
    assert noise.dtype == torch.float64
    assert distribution_p_value(noise) >= LEVEL
    assert distribution_p_value(1.05 * noise) < LEVEL
    assert distribution_p_value(noise + 0.03) < LEVEL
    assert distribution_p_value(12**0.5 * (torch.special.ndtr(noise) - 0.5)) < LEVEL


def correlation_p_value(one, other):
    """Two-sided: under independence n^(-1/2) sum one.other is normal to within Berry-Esseen."""
    z = (one * other).mean() * one.numel() ** 0.5
    return 2 * norm.sf(abs(z.item()))


NEIGHBOURS = {
    "images": lambda: (draw()[:-1], draw()[1:]),
    "rows": lambda: (draw()[:, :-1], draw()[:, 1:]),
    "columns": lambda: (draw()[..., :-1], draw()[..., 1:]),
    "seeds": lambda: (draw(), draw(seed=2)),
    "purposes": lambda: (draw(), draw(purpose="validate")),
    "times": lambda: (draw(), draw(time_index=3)),
    "draws": lambda: (draw(), draw(draw=2)),
}


@pytest.mark.parametrize("neighbours", NEIGHBOURS)
def test_neighbours_are_uncorrelated(neighbours):
    one, other = NEIGHBOURS[neighbours]()
    assert correlation_p_value(one, other) >= LEVEL
    assert correlation_p_value(one, 0.05 * one + other) < LEVEL


def test_no_word_is_infinite():
    ends = normals(torch.tensor([0, 2**BITS - 1]))
    assert ends[0] == -ends[1]
    assert 8 < ends[1] < 9


def test_words_are_whole_numbers_of_their_bits():
    words = keyed_words(**KEY, images=torch.arange(100), shape=SHAPE)
    assert words.dtype == torch.int64
    assert 0 <= words.min() < 2 ** (BITS - 8)
    assert 2**BITS - 2 ** (BITS - 8) < words.max() < 2**BITS
    assert torch.equal(normals(words), draw(images=100))
