"""What is lost of weights is what the format says; what is kept is kept; the original is untouched."""

import importlib.util
import json
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from real import checkpoints
from real.checkpoints import repaired
from real.compress import (
    FORMATS,
    Damage,
    damaged,
)
from real.compress import (
    repaired_folder as folder,
)
from real.compress import (
    torchao_formats as library,
)
from real.compress.formats import named
from real.compress.packing import pack, unpack
from real.compress.quantize import encode, pruned, with_weights
from theory.calibration.result import Calibration
from theory.forward.fingerprints import fingerprint
from theory.support.errors import InputError

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


def test_pruning_takes_the_smallest_and_exactly_their_share():
    weight = weights(10, 10)
    left = pruned(weight, 0.3)
    assert (left == 0).sum() == 30
    assert weight[left == 0].abs().max() <= weight[left != 0].abs().min()
    assert torch.equal(left[left != 0], weight[left != 0])
    assert torch.equal(pruned(torch.ones(10), 0.5), torch.tensor([0.0] * 5 + [1.0] * 5))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(InputError, match="prune: expected a share between 0 and 1"):
        Damage(prune=share)


def test_an_unknown_format_is_refused():
    with pytest.raises(InputError, match="quantize: expected one of int8"):
        Damage("int5")


def state(checkpoint):
    return {n: t.clone() for n, t in checkpoint.modules["unet"].state_dict().items()}


@pytest.mark.parametrize("damage", [Damage("int3"), Damage("fp8", 0.5), Damage(prune=0.2)], ids=str)
def test_only_weights_of_layers_change_and_only_in_the_copy(digits_checkpoint, damage):
    before = state(digits_checkpoint)
    network = damaged(digits_checkpoint, damage)
    after = state(network)
    assert all(torch.equal(t, before[n]) for n, t in state(digits_checkpoint).items())
    for name, tensor in after.items():
        layer = name.endswith("weight") and tensor.dim() >= 2
        assert torch.equal(tensor, before[name]) != layer, name
    x, t = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([9, 9])
    assert not torch.equal(network.predict(x, t), digits_checkpoint.predict(x, t))
    assert str(damage) in network.reference


def test_every_damage_has_a_fingerprint_of_its_own_and_always_the_same(digits_checkpoint):
    damages = [Damage("int8"), Damage("int4"), Damage("int4", 0.5), Damage(prune=0.5)]
    prints = [damaged(digits_checkpoint, d).fingerprint for d in damages]
    assert len({*prints, digits_checkpoint.fingerprint}) == 5
    assert damaged(digits_checkpoint, damages[1]).fingerprint == prints[1]


def test_what_is_no_layer_or_does_not_denoise_is_kept(digits_checkpoint):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.classes, self.norm = nn.Embedding(4, 3), nn.LayerNorm((3, 3))
            self.up, self.W = nn.ConvTranspose1d(2, 5, 3), nn.Parameter(torch.randn(4, 6))

    with torch.random.fork_rng(devices=[]):
        network, vae = Network(), nn.Linear(3, 3)
    checkpoint = replace(digits_checkpoint, modules={"unet": network, "vae": vae})
    stored = encode(checkpoint, Damage("int4"))
    assert not any(name.startswith("vae") for name in stored)
    rounded = {name for name, parts in stored.items() if "codes" in parts}
    assert rounded == {"unet.up.weight", "unet.W"}
    assert stored["unet.up.weight"]["scale"].shape == (5,)
    assert stored["unet.W"]["scale"].shape == (6,)


def test_a_checkpoint_without_networks_is_refused(digits_checkpoint):
    with pytest.raises(InputError, match="no network that can be changed"):
        damaged(replace(digits_checkpoint, modules={}), Damage("int8"))


def test_weights_of_another_network_are_refused(digits_checkpoint):
    stored = encode(digits_checkpoint, Damage("int8"))
    stored.pop("unet.conv_in.bias")
    with pytest.raises(InputError, match=r"differ in unet\.conv_in\.bias"):
        with_weights(digits_checkpoint, Damage("int8"), stored)


@pytest.fixture
def knows_repaired(monkeypatch):
    families = (repaired.FAMILY, *(f for f in checkpoints.FAMILIES if f.name != repaired.NAME))
    monkeypatch.setattr(checkpoints, "FAMILIES", families)


@pytest.fixture
def saved(tmp_path, digits_checkpoint, digits_calibration):
    damage = Damage("int4")
    network = damaged(digits_checkpoint, damage)
    folder.save(tmp_path, digits_checkpoint, damage, network, Calibration.load(digits_calibration))
    return tmp_path, network


def test_a_saved_network_is_small_and_loads_as_it_was(saved, knows_repaired, digits_checkpoint):
    path, network = saved
    parameters = digits_checkpoint.modules["unet"].num_parameters()
    assert (path / folder.NETWORK).stat().st_size < 0.65 * parameters  # 4 bits, scales, biases
    loaded = checkpoints.load(path)
    assert loaded.family == "repaired"
    assert loaded.fingerprint == network.fingerprint
    assert all(torch.equal(t, state(network)[n]) for n, t in state(loaded).items())
    assert fingerprint(state(checkpoints.load("digits")).items()) == fingerprint(
        state(digits_checkpoint).items()
    )


def rewrite(path, **changes):
    manifest = json.loads((path / repaired.MANIFEST).read_text())
    (path / repaired.MANIFEST).write_text(json.dumps(manifest | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"original_fingerprint": "0"}, "was made from another digits"),
        ({"fingerprint": "0"}, "is not what repaired.json says"),
        ({"prune": 0.5}, "is not what repaired.json says"),
        ({"quantize": "int8"}, "is broken"),
        ({"quantize": "float64"}, "quantize: expected one of"),
        ({"format": "other"}, "expected 'diffusion-martingale repaired network 1'"),
        ({"more": 1}, "cannot be read as a manifest"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(saved, knows_repaired, changes, said):
    rewrite(saved[0], **changes)
    with pytest.raises(InputError, match=said):
        checkpoints.load(saved[0])


@pytest.mark.parametrize("content", [None, b"", b"\x08\0\0\0\0\0\0\0{}"])
def test_broken_weights_are_refused(saved, knows_repaired, content):
    (saved[0] / folder.NETWORK).unlink()
    if content is not None:
        (saved[0] / folder.NETWORK).write_bytes(content)
    with pytest.raises(InputError, match="checkpoint: "):
        checkpoints.load(saved[0])


needs_torchao = pytest.mark.skipif(
    importlib.util.find_spec("torchao") is None, reason="torchao is not installed"
)


@needs_torchao
@pytest.mark.parametrize("name", sorted(library.NAMES))
def test_the_library_rounds_linear_layers_as_we_do(digits_checkpoint, name):
    network = damaged(digits_checkpoint, Damage(name))
    format_ = named(name.removeprefix(library.PREFIX))
    for path, layer in digits_checkpoint.modules["unet"].named_modules():
        other = network.modules["unet"].get_submodule(path)
        if isinstance(layer, nn.Linear):
            ours, theirs = format_.rounded(layer.weight), library.plain(other.weight)
            step = layer.weight.abs().amax(1, keepdim=True) / 7 if "4" in name else 0.05
            assert ((ours - theirs).abs() <= step * 1.01).all()
            assert not torch.equal(theirs, layer.weight)


@pytest.mark.skipif(importlib.util.find_spec("torchao") is not None, reason="torchao is installed")
def test_without_the_library_one_line_says_so(digits_checkpoint):
    with pytest.raises(InputError, match="torchao-int8 needs torchao, which is not installed"):
        damaged(digits_checkpoint, Damage("torchao-int8"))


@needs_torchao
def test_what_the_library_made_is_made_again_when_loaded(
    tmp_path, knows_repaired, digits_checkpoint, digits_calibration
):
    damage = Damage("torchao-int8", 0.5)
    network = damaged(digits_checkpoint, damage)
    calibration = Calibration.load(digits_calibration)
    folder.save(tmp_path, digits_checkpoint, damage, network, calibration)
    assert not (tmp_path / folder.NETWORK).exists()
    assert checkpoints.load(tmp_path).fingerprint == network.fingerprint
