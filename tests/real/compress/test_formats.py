"""Number formats: what is lost of weights is what the format says."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from real.compress import FORMATS
from real.compress.packing import pack, unpack

INTEGERS = {"int8": 8, "int4": 4, "int3": 3}


def weights(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(bits=st.sampled_from([3, 4, 8]), data=st.data())
def test_packed_codes_come_back_from_as_few_bytes_as_they_need(bits, data):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    codes = torch.tensor(
        data.draw(st.lists(st.integers(low, high), min_size=1, max_size=40)), dtype=torch.int8
    )
    packed = pack(codes, bits)
    assert len(packed) == math.ceil(len(codes) * bits / 8)
    assert torch.equal(unpack(packed, bits, len(codes)), codes)


@pytest.mark.parametrize(("name", "bits"), INTEGERS.items())
def test_integers_are_rounded_to_the_nearest_of_equally_spaced_levels_per_channel(name, bits):
    weight = weights(5, 7, 3, 3)
    rounded = FORMATS[name].rounded(weight)
    scale = weight.flatten(1).abs().amax(1) / (2 ** (bits - 1) - 1)
    error = (rounded - weight).flatten(1).abs().amax(1)
    assert (error <= scale / 2 * (1 + 1e-5)).all()
    for channel, step in zip(rounded.flatten(1), scale, strict=True):
        levels = channel / step
        assert torch.allclose(levels, levels.round(), atol=1e-3)
        assert len(levels.round().unique()) <= 2**bits - 1
        assert channel.abs().max() == pytest.approx((step * (2 ** (bits - 1) - 1)).item())


@pytest.mark.parametrize("name", FORMATS)
def test_rounding_twice_is_rounding_once(name):
    once = FORMATS[name].rounded(weights(4, 33))
    assert torch.allclose(FORMATS[name].rounded(once), once, rtol=1e-6)


@pytest.mark.parametrize("name", [*INTEGERS, "fp8"])
def test_each_output_channel_has_a_scale_of_its_own(name):
    weight = weights(3, 50)
    scaled = weight * torch.tensor([1.0, 1e-4, 1e4])[:, None]
    a, b = FORMATS[name].rounded(weight), FORMATS[name].rounded(scaled)
    assert torch.allclose(b / torch.tensor([1.0, 1e-4, 1e4])[:, None], a, rtol=1e-4, atol=1e-5)
    flat = FORMATS[name].rounded(scaled.reshape(1, -1)).reshape(3, 50)
    lost = (flat[1] - scaled[1]).norm() / scaled[1].norm()
    if name in INTEGERS:
        assert lost == 1  # one scale for all would leave nothing of the small channel


def test_a_channel_of_zeros_stays_zero():
    weight = torch.stack([torch.zeros(9), weights(9)])
    for format_ in FORMATS.values():
        assert torch.equal(format_.rounded(weight)[0], torch.zeros(9))


def test_floating_formats_keep_their_digits():
    weight = weights(4, 100)
    for name, digits in (("fp8", 3), ("bfloat16", 7), ("float16", 10)):
        error = ((FORMATS[name].rounded(weight) - weight) / weight).abs()
        large = weight.abs() > 0.1
        assert error[large].max() <= 2.0 ** -(digits + 1) * 1.001
        assert error[large].max() > 2.0 ** -(digits + 3)
    assert torch.equal(FORMATS["float16"].rounded(weight), weight.half().float())
