"""EDM pickles: recorded outputs of the published code, and every preconditioning on small ones."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from real.families.edm import loader as edm
from real.families.edm import preconditioning
from real.families.edm.dhariwal_unet import DhariwalUNet
from real.families.edm.layers import BlockStyle, UNetBlock
from real.families.edm.song_unet import SongUNet
from real.files.network_pickles import PickledObject
from tests.real.state_files import upstream_outputs
from tests.real.stored_networks import (
    calibrates_and_validates,
    install_persistence,
    persistent,
    random_state,
    source,
    stored,
)
from tests.refusals import refusal
from theory.diffusion.targets import DATA

OUTPUTS = upstream_outputs()
RECORDED = sorted(OUTPUTS.glob("edm/*.pkl")) if OUTPUTS else []
UNET = {"model_channels": 8, "channel_mult": [1, 2], "num_blocks": 1, "attn_resolutions": [4]}
KINDS = {
    "VPPrecond": {},
    "VEPrecond": {"embedding_type": "fourier", "encoder_type": "residual",
                  "resample_filter": [1, 3, 3, 1], "channel_mult_noise": 2},
    "iDDPMPrecond": {"M": 20},
    "EDMPrecond": {"model_type": "SongUNet", "encoder_type": "skip", "decoder_type": "skip",
                   "augment_dim": 9, "label_dim": 3, "dropout": 0.1},
}  # fmt: skip


def idd_table(steps, least_ratio=0.001, offset=0.008):
    """Noise levels of improved DDPM's cosine schedule, from the greatest to zero."""
    bar = [math.sin(0.5 * math.pi * j / steps / (offset + 1)) ** 2 for j in range(steps + 1)]
    u = [0.0]
    for j in range(steps, 0, -1):
        u.insert(0, math.sqrt((u[0] ** 2 + 1) / max(bar[j - 1] / bar[j], least_ratio) - 1))
    return torch.tensor(u)


def small(kind, **changes):
    """A network of a kind with random weights: the object to pickle, and ours."""
    kwargs = {"img_resolution": 8, "img_channels": 2, "use_fp16": True, **UNET, **KINDS[kind]}
    kwargs |= changes
    with torch.device("meta"):
        network = edm._build(
            PickledObject(kind, (), kwargs, {str(i): torch.empty(0) for i in range(99)})
        )
    state = random_state(network)
    if "u" in state:
        state["u"] = idd_table(kwargs["M"])
    return persistent(network, kind, kwargs, state), state


@pytest.fixture(autouse=True)
def _persistence(monkeypatch):
    install_persistence(monkeypatch)


@pytest.fixture(scope="module")
def noisy():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 2, 8, 8, generator=generator), torch.tensor([0.05, 0.7, 20.0])


def recorded_error(path, change=lambda network: None):
    """Greatest error, in the network's own output: what it denoises is sigma times that, and x.

    Processors round the noise label differently; at sigma = 20 that alone moves what is denoised
    by 6e-5 on some, which are 3e-6 of the network's output.
    """
    checkpoint = edm.load(source(path), "cpu")
    change(checkpoint.modules["denoiser"])
    arrays = {key: torch.tensor(array) for key, array in np.load(path.with_suffix(".npz")).items()}
    labels = arrays["class_labels"].argmax(1) if "class_labels" in arrays else None
    with torch.no_grad():
        denoised = checkpoint.predict(arrays["x"], arrays["sigma"], labels)
    worst = (denoised - arrays["denoised"]).abs().amax((1, 2, 3))
    return float((worst / arrays["sigma"].clamp(min=1)).max())


@pytest.mark.skipif(not RECORDED, reason="no recorded outputs here")
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_outputs_are_those_of_the_published_code(path):
    """A changed weight is seen in them: the control."""

    def nudge(network):
        network.model.map_layer0.weight.data *= 1.01

    assert edm.FAMILY.recognizes(source(path))
    assert recorded_error(path) < 1e-5 < recorded_error(path, nudge)


@pytest.mark.parametrize("kind", KINDS)
def test_small_networks_load_calibrate_and_validate(tmp_path, kind):
    ema, state = small(kind)
    loaded = stored(tmp_path / "network.pkl", ema=ema, loss_fn=None)
    assert edm.FAMILY.recognizes(loaded)
    assert {k: v.tolist() for k, v in loaded.content["ema"].state.items()} == {
        k: v.tolist() for k, v in state.items()
    }
    checkpoint = edm.load(loaded, "cpu")
    assert checkpoint.shape == (2, 8, 8)
    assert checkpoint.target == DATA
    calibrates_and_validates(checkpoint)


def test_schedule_covers_the_networks_noise_levels(tmp_path):
    for kind, limits in (
        ("VPPrecond", (math.sqrt(math.expm1(0.5 * 19.9e-10 + 1e-6)), 152.167)),
        ("VEPrecond", (0.02, 100)),
        ("iDDPMPrecond", tuple(idd_table(20)[[-2, 0]].tolist())),
        ("EDMPrecond", (0.002, 80)),
    ):
        schedule = edm.load(stored(tmp_path / "x.pkl", ema=small(kind)[0]), "cpu").schedule
        assert (schedule.t_min, schedule.t_max) == pytest.approx(limits, rel=0.03), kind


def test_limits_that_a_network_states_are_kept(tmp_path):
    ema, _ = small("EDMPrecond", sigma_min=0.01, sigma_max=50)
    schedule = edm.load(stored(tmp_path / "x.pkl", ema=ema), "cpu").schedule
    assert (schedule.t_min, schedule.t_max) == (0.01, 50)


class Echo(torch.nn.Module):
    """A raw network that returns its input, and keeps what it was asked."""

    def forward(self, x, noise_labels, class_labels):
        self.asked = (x, noise_labels, class_labels)
        return x


@pytest.mark.parametrize(
    ("kind", "skip", "out", "into", "noise"),
    [
        (preconditioning.VPPreconditioned, lambda s: 1, lambda s: -s,
         lambda s: 1 / math.sqrt(s**2 + 1),
         lambda s: 999 * (math.sqrt(0.01 + 39.8 * math.log(1 + s**2)) - 0.1) / 19.9),
        (preconditioning.VEPreconditioned, lambda s: 1, lambda s: s, lambda s: 1,
         lambda s: math.log(s / 2)),
        (preconditioning.EDMPreconditioned, lambda s: 0.25 / (s**2 + 0.25),
         lambda s: s / 2 / math.sqrt(s**2 + 0.25), lambda s: 1 / math.sqrt(s**2 + 0.25),
         lambda s: math.log(s) / 4),
    ],
)  # fmt: skip
def test_preconditioning_is_the_papers_table(noisy, kind, skip, out, into, noise):
    x, sigma = noisy
    echo = Echo()
    denoised = kind(echo)(x, sigma)
    for i, s in enumerate(sigma.tolist()):
        expected = (skip(s) + out(s) * into(s)) * x[i]
        assert torch.allclose(denoised[i], expected, rtol=1e-4, atol=1e-5)
        assert echo.asked[1][i].item() == pytest.approx(noise(s), rel=1e-4)
    assert not torch.allclose(denoised, denoised.flip(0), atol=0.1)


def test_improved_ddpm_takes_the_nearest_level_of_its_table(noisy):
    x, _ = noisy
    echo = Echo()
    network = preconditioning.IDDPMPreconditioned(echo, M=20)
    network.u.copy_(idd_table(20))
    network(x, network.u[[3, 7, 18]] * 1.0001)
    assert echo.asked[1].tolist() == [19 - 3, 19 - 7, 19 - 18]


def test_labels_become_one_hot_and_no_class_is_zero():
    assert edm.one_hot(torch.tensor([2, 0, 3]), 3, 3).tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]
    assert edm.one_hot(None, 3, 2).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_conditions_matter_and_no_class_is_no_condition(tmp_path, noisy):
    checkpoint = edm.load(stored(tmp_path / "x.pkl", ema=small("EDMPrecond")[0]), "cpu")
    assert (checkpoint.conditions, checkpoint.null_condition) == (3, 3)
    x, t = noisy
    none = checkpoint.predict(x, t)
    assert torch.equal(checkpoint.predict(x, t, torch.full((3,), 3)), none)
    assert not torch.allclose(checkpoint.predict(x, t, torch.tensor([0, 1, 2])), none)


def test_other_conditions_are_refused(tmp_path, noisy):
    checkpoint = edm.load(stored(tmp_path / "x.pkl", ema=small("EDMPrecond")[0]), "cpu")
    for condition, got in (
        (torch.tensor([0, 1, 4]), "got 4"),
        (torch.tensor([0, -1, 1]), "got -1"),
        (torch.tensor([0, 1]), "of shape .2,."),
        (torch.zeros(3), "got torch.float32"),
        ("cat", "got 'cat'"),
    ):
        with refusal(rf"expected 3 class labels below 3 \(or 3 for none\), .*{got}", condition):
            checkpoint.predict(*noisy, condition)


def test_an_unconditional_network_takes_no_condition(tmp_path, noisy):
    checkpoint = edm.load(stored(tmp_path / "x.pkl", ema=small("VPPrecond")[0]), "cpu")
    assert (checkpoint.conditions, checkpoint.null_condition) == (None, None)
    with refusal("unconditional"):
        checkpoint.predict(*noisy, torch.zeros(3, dtype=torch.long))


def test_predictions_keep_the_dtype_and_half_precision_is_close(tmp_path, noisy):
    checkpoint = edm.load(stored(tmp_path / "x.pkl", ema=small("EDMPrecond")[0]), "cpu")
    x, t = noisy
    full = checkpoint.predict(x, t)
    assert checkpoint.predict(x.double(), t.double()).dtype == torch.float64
    half = checkpoint.predict(x.bfloat16(), t)
    assert half.dtype == torch.bfloat16
    assert 0 < (half.float() - full).abs().max() < 0.1 * full.abs().max()


def test_fingerprint_knows_weights_and_arguments(tmp_path):
    def mark(**changes):
        ema, _ = small("EDMPrecond", **changes)
        return edm.load(stored(tmp_path / "x.pkl", ema=ema), "cpu").fingerprint

    assert mark() == mark()
    assert mark() != mark(sigma_data=0.6)


def broken(how):
    ema, _ = small("EDMPrecond")
    kwargs = ema.meta["state"]["_init_kwargs"]
    if how == "other file":
        return {"model": {}, "ema": ema.meta["state"]["_init_kwargs"]}
    part = ema.meta["state"]["_modules"]["model"].meta["state"]
    match how:
        case "missing":
            del part["_modules"]["map_layer0"]
        case "left over":
            part["_parameters"]["more"] = torch.zeros(3)
        case "shape":
            kwargs["model_channels"] = 12
        case "integers":
            part["_modules"]["map_layer0"].meta["state"]["_parameters"]["bias"] = torch.zeros(
                32, dtype=torch.long
            )
        case "argument":
            kwargs["magic"] = 1
        case "no resolution":
            del kwargs["img_resolution"]
        case "model":
            kwargs["model_type"] = "Transformer"
        case "blocks":
            kwargs["num_blocks"] = 10**9
        case "wide":
            kwargs["model_channels"] = 10**9
        case "positional":
            ema.meta["state"]["_init_args"] = (8, 2)
    return {"ema": ema}


def test_networks_that_do_not_fit_are_refused_in_one_line(tmp_path):
    for how, message in (
        ("missing", "EDMPrecond lacks model.map_layer0.weight, model.map_layer0.bias$"),
        ("left over", "EDMPrecond has no place for model.more$"),
        ("shape", r"expected model.\S+ of shape .*, got"),
        ("integers", "expected model.map_layer0.bias in floating point, got torch.int64"),
        ("argument", "cannot build EDMPrecond: .*magic"),
        ("no resolution", "img_resolution"),
        ("model", "expected model_type SongUNet or DhariwalUNet, got 'Transformer'"),
        ("blocks", "at most one block"),
        ("wide", "cannot build|expected model"),
        ("positional", "other arguments than upstream's"),
    ):
        with refusal(message, how):
            edm.load(stored(tmp_path / "x.pkl", **broken(how)), "cpu")


def test_other_content_is_not_recognized(tmp_path):
    assert not edm.FAMILY.recognizes(stored(tmp_path / "x.pkl", **broken("other file")))
    assert not edm.FAMILY.recognizes(source(tmp_path / "folder", content=[1]))


@pytest.mark.parametrize("make", [partial(SongUNet, label_dim=3), partial(DhariwalUNet)])
def test_raw_networks_take_any_number_of_levels(make):
    with torch.device("meta"):
        network = make(
            img_resolution=16, in_channels=2, out_channels=2, model_channels=8,
            channel_mult=[1, 1, 2], num_blocks=2, attn_resolutions=[8],
        )  # fmt: skip
    network = network.to_empty(device="cpu")
    network.load_state_dict(random_state(network))
    out = network(torch.zeros(2, 2, 16, 16), torch.ones(2), torch.zeros(2, 3))
    assert out.shape == (2, 2, 16, 16)


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_without_names_are_upstreams_in_their_order(tmp_path, kind):
    expected = edm.load(stored(tmp_path / "x.pkl", ema=small(kind)[0]), "cpu")
    x, t = torch.full((2, *expected.shape), 0.5), torch.tensor([0.5, 2.0])
    y = expected.predict(x, t)
    for named_from in (1, 2, 4):
        ema, _ = small(kind)
        kwargs = ema.meta["state"]["_init_kwargs"]
        kwargs["label_dim"] = kwargs.get("label_dim", 0)
        names = edm.ORDER[kind][:named_from]
        ema.meta["state"]["_init_args"] = tuple(kwargs.pop(name) for name in names)
        got = edm.load(stored(tmp_path / "y.pkl", ema=ema), "cpu")
        assert (got.shape, got.conditions) == (expected.shape, expected.conditions), named_from
        assert torch.equal(got.predict(x, t), y), named_from


def test_more_arguments_than_upstream_takes_are_refused(tmp_path):
    ema, _ = small("EDMPrecond")
    ema.meta["state"]["_init_args"] = tuple(range(20))
    with refusal("other arguments than upstream's"):
        edm.load(stored(tmp_path / "x.pkl", ema=ema), "cpu")


def test_the_first_half_of_a_learned_variance_is_the_prediction(tmp_path, noisy):
    def prediction(half, by):
        content, state = small("iDDPMPrecond")
        state["model.out_conv.weight"][half] += by
        return edm.load(stored(tmp_path / "x.pkl", ema=content), "cpu").predict(*noisy)

    channels = noisy[0].shape[1]
    plain = prediction(slice(None), 0.0)
    assert torch.equal(plain, prediction(slice(channels, None), 0.1))
    assert not torch.equal(plain, prediction(slice(0, channels), 0.1))


@pytest.mark.parametrize("channels", [64, 128, 192])
def test_attention_has_a_head_for_every_64_channels_unless_their_number_is_told(channels):
    style = BlockStyle(1e-5, 1.0, True, (1, 1), True, None)
    for told, heads in ((None, channels // 64), (4, 4)):
        block = UNetBlock(channels, channels, 8, replace(style, heads=told), attention=True)
        assert block.heads == heads
        assert UNetBlock(channels, channels, 8, replace(style, heads=told)).heads == 0
