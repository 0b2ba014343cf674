"""score_sde checkpoints: the same numbers as EDM's network of that name, and its conventions."""

import math
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch

from real.checkpoints import score_sde
from real.networks.edm_layers import Convolution, FusedDownConvolution, GroupNorm, UNetBlock
from real.networks.ncsnpp import NCSNpp
from real.networks.resampling import downsample, separable, upsample
from real.networks.song_unet import SongUNet
from real.networks.weights import filled
from tests.real.stored_networks import calibrates_and_validates, random_state, source
from theory.errors import InputError
from theory.schedules import SubVP, VEGeometric, VPLinear
from theory.targets import NOISE, SCORE

SDES = ("vpsde", "subvpsde", "vesde")


def config(sde="vpsde", **model):
    """Upstream's configuration of a small network."""
    exploding = sde == "vesde"
    return {
        "training": {"sde": sde, "continuous": True},
        "data": {"image_size": 8, "num_channels": 2, "centered": not exploding},
        "model": {
            "name": "ncsnpp", "nf": 8, "ch_mult": [1, 2], "num_res_blocks": 1,
            "attn_resolutions": [4], "resblock_type": "biggan", "conditional": True, "fir": exploding,
            "fir_kernel": [1, 3, 3, 1], "skip_rescale": True, "progressive": "none",
            "progressive_input": "residual" if exploding else "none", "progressive_combine": "sum",
            "embedding_type": "fourier" if exploding else "positional", "nonlinearity": "swish",
            "scale_by_sigma": exploding, "sigma_min": 0.01, "sigma_max": 50, "beta_min": 0.1,
            "beta_max": 20.0, "dropout": 0.1, **model,
        },
    }  # fmt: skip


def state_of(settings, seed=0):
    with torch.device("meta"):
        network = NCSNpp(num_scales=10, **settings.network)
    state = random_state(network, seed)
    state["sigmas"] = torch.logspace(math.log10(50), -2, 10)
    return state


def network_of(settings, state):
    return filled(lambda: NCSNpp(num_scales=10, **settings.network), state, "it")


def content(settings):
    """As upstream saves it; the weights proper and their averages differ."""
    model, averaged = state_of(settings), state_of(settings, seed=1)
    model = {k: averaged[k] if k in ("sigmas", "all_modules.0.W") else v for k, v in model.items()}
    frozen = {"sigmas"} | ({"all_modules.0.W"} if settings.sde == "vesde" else set())
    shadow = [tensor for name, tensor in averaged.items() if name not in frozen]
    return {
        "optimizer": {"state": {}}, "step": 7,
        "model": OrderedDict((f"module.{name}", tensor) for name, tensor in model.items()),
        "ema": {"decay": 0.9999, "num_updates": 7, "shadow_params": shadow},
    }, averaged  # fmt: skip


@pytest.fixture
def saved(tmp_path):
    """Through a file in upstream's format, read without running code."""

    def save(sde="vpsde", change=lambda c: None, sidecar=None, **model):
        written, averaged = content(score_sde.from_config(config(sde, **model)))
        change(written)
        path = tmp_path / "checkpoint_8.pth"
        torch.save(written, path)
        read = torch.load(path, map_location="cpu", weights_only=True)
        beside = {"config": config(sde, **model)} if sidecar is None else sidecar
        return source(path, read, **beside), averaged

    return save


@pytest.fixture(scope="module")
def noisy():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 2, 8, 8, generator=generator), torch.tensor([0.01, 0.4, 0.9])


@pytest.mark.parametrize("sde", SDES)
def test_small_networks_load_calibrate_and_validate(saved, sde):
    loaded, _ = saved(sde)
    assert score_sde.FAMILY.recognizes(loaded)
    checkpoint = score_sde.load(loaded, "cpu")
    assert (checkpoint.shape, checkpoint.conditions) == ((2, 8, 8), None)
    calibrates_and_validates(checkpoint)


@pytest.mark.parametrize(
    ("sde", "schedule", "target"),
    [
        ("vpsde", VPLinear(0.1, 20.0, t_min=1e-5), NOISE),
        ("subvpsde", SubVP(0.1, 20.0, t_min=1e-5), NOISE),
        ("vesde", VEGeometric(0.02, 100.0, t_min=1e-5), SCORE),
    ],
)
def test_schedule_and_target_are_the_sdes(saved, sde, schedule, target):
    checkpoint = score_sde.load(saved(sde)[0], "cpu")
    assert (checkpoint.schedule, checkpoint.target) == (schedule, target)


@pytest.mark.parametrize("sde", ["vpsde", "subvpsde"])
def test_prediction_is_the_averaged_networks_noise(saved, noisy, sde):
    loaded, averaged = saved(sde)
    checkpoint, (x, t) = score_sde.load(loaded, "cpu"), noisy
    settings, own = score_sde.from_config(config(sde)), loaded.content["model"]
    network = network_of(settings, averaged)
    assert torch.allclose(checkpoint.predict(x, t), network(x, 999 * t), atol=1e-5)
    network = network_of(settings, {k.removeprefix("module."): v for k, v in own.items()})
    assert not torch.allclose(checkpoint.predict(x, t), network(x, 999 * t), atol=1e-3)


def test_score_is_that_of_images_twice_as_wide(saved, noisy):
    """Upstream scores x in [0, 1] at sigma; x_t = 2 x - 1 has twice the noise, half the score."""
    loaded, averaged = saved("vesde")
    checkpoint, (x_t, t) = score_sde.load(loaded, "cpu"), noisy
    network = network_of(score_sde.from_config(config("vesde")), averaged)
    upstream_sigma = 0.01 * 5000**t
    assert torch.allclose(checkpoint.schedule.sigma(t).float(), 2 * upstream_sigma, rtol=1e-5)
    expected = network(x_t, upstream_sigma) / 2
    assert torch.allclose(checkpoint.predict(x_t, t), expected, rtol=1e-3, atol=1e-4)
    centered = config("vesde") | {"data": config("vesde")["data"] | {"centered": True}}
    checkpoint = score_sde.load(replace(loaded, sidecar={"config": centered}), "cpu")
    assert torch.allclose(checkpoint.predict(x_t, t), 2 * expected, rtol=1e-3, atol=1e-4)


def as_ncsnpp(song: SongUNet) -> list[dict[str, torch.Tensor]]:
    """The layers of an EDM network as score_sde orders and names them."""
    named = {"norm0": "GroupNorm_0", "conv0": "Conv_0", "affine": "Dense_0", "norm1": "GroupNorm_1",
             "conv1": "Conv_1", "skip": "Conv_2"}  # fmt: skip
    layers: list[dict[str, torch.Tensor]] = []
    for block in [*song.enc.values(), *song.dec.values()]:
        if isinstance(block, UNetBlock):
            state = block.state_dict()
            layers.append({
                f"{new}.{end}": state[f"{old}.{end}"] for old, new in named.items()
                for end in ("weight", "bias") if f"{old}.{end}" in state
            })  # fmt: skip
            if block.heads:
                layers.append(attention(state))
        elif isinstance(block, FusedDownConvolution):
            layers.append({f"Conv2d_0.{k}": v for k, v in trained(block).items()})
        elif isinstance(block, Convolution) and block.weight.shape[-1] == 1:
            layers.append({f"Conv_0.{k}": v for k, v in trained(block).items()})
        elif isinstance(block, Convolution | GroupNorm):
            layers.append(trained(block))
    return layers


def trained(module):
    return {k: v for k, v in module.state_dict().items() if k != "resample_filter"}


def attention(state):
    """EDM interleaves queries, keys and values."""
    c = state["proj.bias"].shape[0]
    weights, biases = state["qkv.weight"].reshape(c, 3, c), state["qkv.bias"].reshape(c, 3)
    made = {f"GroupNorm_0.{k}": state[f"norm2.{k}"] for k in ("weight", "bias")}
    for i in range(3):
        made |= {f"NIN_{i}.W": weights[:, i].t(), f"NIN_{i}.b": biases[:, i]}
    return made | {"NIN_3.W": state["proj.weight"][:, :, 0, 0].t(), "NIN_3.b": state["proj.bias"]}


@pytest.mark.parametrize("embedding", ["positional", "fourier"])
@pytest.mark.parametrize(
    ("encoder", "decoder", "taps"),
    [
        ("standard", "standard", (1, 1)), ("residual", "standard", (1, 3, 3, 1)),
        ("skip", "skip", (1, 3, 3, 1)),
    ],
)  # fmt: skip
def test_numbers_are_those_of_edms_network(noisy, embedding, encoder, decoder, taps):
    """EDM's is said to be equivalent, and is itself held to outputs of the published code."""
    unfilled = SongUNet(
        8, 2, 2, model_channels=8, channel_mult=[1, 2, 2], num_blocks=2, attn_resolutions=[4],
        embedding_type=embedding, encoder_type=encoder, decoder_type=decoder, resample_filter=taps,
        channel_mult_noise=2 if embedding == "fourier" else 1,
    )  # fmt: skip
    song = filled(lambda: unfilled.to("meta"), random_state(unfilled), "it")
    network = {
        "image_size": 8, "num_channels": 2, "nf": 8, "ch_mult": [1, 2, 2], "num_res_blocks": 2,
        "attn_resolutions": [4], "taps": taps, "skip_rescale": True, "embedding_type": embedding,
        "progressive": "output_skip" if decoder == "skip" else "none", "scale_by_sigma": False,
        "progressive_input": {"standard": "none", "skip": "input_skip"}.get(encoder, encoder),
        "progressive_combine": "sum",
    }  # fmt: skip
    first = [{"W": song.map_noise.freqs}] if embedding == "fourier" else []
    layers = [*first, trained(song.map_layer0), trained(song.map_layer1), *as_ncsnpp(song)]
    state = {f"all_modules.{i}.{k}": v for i, layer in enumerate(layers) for k, v in layer.items()}
    settings = score_sde.Settings("vpsde", True, (0.1, 20.0), network)
    ours = network_of(settings, state | {"sigmas": torch.ones(10)})
    x, _ = noisy
    label = torch.tensor([0.3, 2.0, 9.0])
    with torch.no_grad():
        expected = song(x, label.log() if embedding == "fourier" else label, None)
        assert torch.allclose(ours(x, label), expected, atol=1e-4)
        assert not torch.allclose(ours(x, 1.1 * label), expected, atol=1e-4)


def test_combining_by_concatenation_and_scaling_by_the_table(noisy):
    settings = score_sde.from_config(config(
        "vpsde", fir=True, progressive_input="input_skip", progressive_combine="cat",
        scale_by_sigma=True,
    ))  # fmt: skip
    network = network_of(settings, state_of(settings))
    x, label = noisy[0], torch.tensor([0.0, 4.0, 9.0])
    scaled = network(x, label)
    network.scale_by_sigma = False
    assert torch.allclose(scaled * network.sigmas[[0, 4, 9], None, None, None], network(x, label))


@pytest.mark.parametrize("taps", [(1, 1), (1, 3, 3, 1)])
def test_resampling_keeps_constants_and_averages_a_ramp(taps):
    x = torch.ones(1, 2, 8, 8)
    inner = (..., slice(2, -2), slice(2, -2))
    assert torch.allclose(upsample(x, separable(taps))[inner], torch.ones(1, 2, 12, 12))
    assert torch.allclose(downsample(x, separable(taps))[..., 1:-1, 1:-1], torch.ones(1, 2, 2, 2))
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    middle = downsample(ramp, separable(taps))[0, 0, 3, 2:-2]
    assert torch.allclose(middle, torch.arange(4.5, 12, 2))


def small_presets(monkeypatch, **named):
    presets = {name: score_sde.from_config(config(sde)) for name, sde in named.items()}
    monkeypatch.setattr(score_sde, "PRESETS", presets)


def test_a_preset_whose_shapes_fit_is_found(saved, monkeypatch):
    small_presets(monkeypatch, vp="vpsde", ve="vesde")
    with_config = score_sde.load(saved("vesde")[0], "cpu")
    found = score_sde.load(saved("vesde", sidecar={})[0], "cpu")
    assert (found.target, found.fingerprint) == (SCORE, with_config.fingerprint)


def test_presets_that_weights_do_not_tell_apart_must_be_named(saved, monkeypatch):
    small_presets(monkeypatch, vp="vpsde", subvp="subvpsde")
    with pytest.raises(InputError, match=r'fits vp and subvp.*checkpoint_8.json.*"config": "vp"'):
        score_sde.load(saved("vpsde", sidecar={})[0], "cpu")
    named = score_sde.load(saved("vpsde", sidecar={"config": "subvp"})[0], "cpu")
    assert named.schedule == SubVP(0.1, 20.0, t_min=1e-5)


def test_published_presets_have_their_published_sizes():
    def parameters(name):
        with torch.device("meta"):
            network = NCSNpp(num_scales=1000, **score_sde.PRESETS[name].network)
        return round(sum(p.numel() for p in network.parameters()) / 1e6, 1)

    assert parameters("cifar10-ddpmpp-vp") == 61.8
    assert parameters("cifar10-ncsnpp-deep-ve") == 107.6


def test_fingerprint_knows_the_averages_and_the_sde(saved):
    def mark(sde="vpsde", change=lambda c: None):
        return score_sde.load(saved(sde, change)[0], "cpu").fingerprint

    def nudge(written):
        written["ema"]["shadow_params"][3] += 1e-6

    assert mark() == mark()
    assert len({mark(), mark("subvpsde"), mark(change=nudge)}) == 3


def without(*path):
    def change(written):
        for key in path[:-1]:
            written = written[key]
        del written[path[-1]]

    return change


def drop_both(written):
    del written["model"]["module.all_modules.2.bias"]
    written["ema"]["shadow_params"].pop(5)


def reshape(written):
    written["ema"]["shadow_params"][0] = torch.zeros(3)


@pytest.mark.parametrize(
    ("change", "sidecar", "message"),
    [
        (without("ema"), None, "averaged weights under ema"),
        (without("ema", "shadow_params"), None, "averaged weights under ema"),
        (without("ema", "shadow_params", 0), None, r"expected \d+ averaged weights"),
        (drop_both, None, "the network lacks all_modules.2.bias$"),
        (reshape, None, r"an average of all_modules.0.weight of shape .32, 8., got .3,."),
        (lambda c: None, {}, "fits no preset: expected checkpoint_8.json"),
        (lambda c: None, {"config": "cifar11"}, "expected config to be one of cifar10-ddpmpp-vp"),
        (lambda c: None, {"config": {}}, "expected the section training, got None"),
        (
            lambda c: None,
            {"config": config() | {"data": {"centered": True}}},
            "expected image_size",
        ),
        (lambda c: None, {"config": config(name="ddpm")}, "model.name 'ncsnpp', got 'ddpm'"),
        (lambda c: None, {"config": config(resblock_type="ddpm")}, "resblock_type 'biggan'"),
        (lambda c: None, {"config": config(progressive="residual")}, "none or output_skip"),
        (lambda c: None, {"config": config(progressive="output_skip")}, "fir with a pyramid"),
        (lambda c: None, {"config": config("vpsde") | {"training": {"sde": "edm"}}}, "got 'edm'"),
        (lambda c: None, {"config": config(nf=16)}, "of shape"),
        (lambda c: None, {"config": config(num_res_blocks=2)}, "the network lacks"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(saved, change, sidecar, message):
    loaded, _ = saved("vpsde", change, sidecar)
    with pytest.raises(InputError, match=message) as caught:
        score_sde.load(loaded, "cpu")
    assert "\n" not in str(caught.value)


def test_networks_not_continuous_or_not_centered_are_refused():
    discrete = config() | {"training": {"sde": "vpsde", "continuous": False}}
    uncentered = config() | {"data": {"image_size": 8, "num_channels": 2, "centered": False}}
    for wrong, message in ((discrete, "continuous"), (uncentered, "centered with vpsde")):
        with pytest.raises(InputError, match=message):
            score_sde.from_config(wrong)


def test_conditions_are_refused_and_dtypes_kept(saved, noisy):
    checkpoint, (x, t) = score_sde.load(saved()[0], "cpu"), noisy
    assert checkpoint.predict(x.double(), t.double()).dtype == torch.float64
    with pytest.raises(InputError, match="unconditional"):
        checkpoint.predict(x, t, torch.zeros(3))


def test_other_content_is_not_recognized(tmp_path):
    for other in ({"model": {"conv.weight": 1}}, [1], {"ema": {}}):
        assert not score_sde.FAMILY.recognizes(source(tmp_path, other))
