"""score_sde checkpoints: the same numbers as EDM's and DDPM's networks, and its conventions."""

import math
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch

from real.families.beta_tables import linear_betas, table_schedule
from real.families.ddpm import unet as ddpm_unet
from real.families.edm.layers import Convolution, FusedDownConvolution, GroupNorm, UNetBlock
from real.families.edm.song_unet import SongUNet
from real.families.resampling import downsample, separable, upsample
from real.families.score_sde import loader as score_sde
from real.families.score_sde.ddpm import DDPM, ConvResampling
from real.families.score_sde.settings import SDESettings
from real.files.state_dicts import with_weights
from tests.real.stored_networks import calibrates_and_validates, random_state, source
from tests.refusals import refusal
from theory.diffusion.schedules import DiscreteSchedule, SubVP, VEGeometric, VPLinear
from theory.diffusion.targets import NOISE, SCORE

SDES = ("vpsde", "subvpsde", "vesde")


def config(sde="vpsde", continuous=True, **model):
    """Upstream's configuration of a small network."""
    exploding = sde == "vesde"
    return {
        "training": {"sde": sde, "continuous": continuous},
        "data": {"image_size": 8, "num_channels": 2, "centered": not exploding},
        "model": {
            "name": "ncsnpp", "nf": 8, "ch_mult": [1, 2], "num_res_blocks": 1,
            "attn_resolutions": [4], "resblock_type": "biggan", "conditional": True, "fir": exploding,
            "fir_kernel": [1, 3, 3, 1], "skip_rescale": True, "progressive": "none",
            "progressive_input": "residual" if exploding else "none", "progressive_combine": "sum",
            "embedding_type": "fourier" if exploding and continuous else "positional",
            "nonlinearity": "swish",
            "scale_by_sigma": exploding, "sigma_min": 0.01, "sigma_max": 50, "beta_min": 0.1,
            "beta_max": 20.0, "dropout": 0.1, **model,
        },
    }  # fmt: skip


SCALES = 100


def state_of(settings, seed=0):
    with torch.device("meta"):
        network = settings.build(SCALES)
    state = random_state(network, seed, scale=0.05 if settings.name == "ddpm" else 0.2)
    state["sigmas"] = torch.logspace(math.log10(50), -2, SCALES)
    return state


def network_of(settings, state):
    return with_weights(lambda: settings.build(len(state["sigmas"])), state, "it")


def content(settings):
    """As upstream saves it; the weights proper and their averages differ."""
    model, averaged = state_of(settings), state_of(settings, seed=1)
    model = {k: averaged[k] if k in ("sigmas", "all_modules.0.W") else v for k, v in model.items()}
    frozen = {"sigmas", "all_modules.0.W"}
    shadow = [tensor for name, tensor in averaged.items() if name not in frozen]
    return {
        "optimizer": {"state": {}}, "step": 7,
        "model": OrderedDict((f"module.{name}", tensor) for name, tensor in model.items()),
        "ema": {"decay": 0.9999, "num_updates": 7, "shadow_params": shadow},
    }, averaged  # fmt: skip


@pytest.fixture
def saved(tmp_path):
    """Through a file in upstream's format, read without running code."""

    def save(sde="vpsde", change=lambda c: None, sidecar=None, **options):
        written, averaged = content(score_sde.from_config(config(sde, **options)))
        change(written)
        path = tmp_path / "checkpoint_8.pth"
        torch.save(written, path)
        read = torch.load(path, map_location="cpu", weights_only=True)
        beside = {"config": config(sde, **options)} if sidecar is None else sidecar
        return source(path, read, **beside), averaged

    return save


@pytest.fixture(scope="module")
def noisy():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 2, 8, 8, generator=generator), torch.tensor([0.01, 0.4, 0.9])


AS_DDPM = {"name": "ddpm", "nf": 128, "resamp_with_conv": True}
KINDS = [
    *[(sde, {}) for sde in SDES],
    ("vpsde", {"continuous": False}), ("vesde", {"continuous": False}),
    ("vpsde", AS_DDPM), ("vpsde", AS_DDPM | {"continuous": False}),
    ("vesde", AS_DDPM | {"continuous": False}),
]  # fmt: skip


@pytest.mark.parametrize(("sde", "options"), KINDS)
def test_small_networks_load_calibrate_and_validate(saved, sde, options):
    loaded, _ = saved(sde, **options)
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


@pytest.mark.parametrize("options", [{}, AS_DDPM])
def test_network_of_table_times_is_told_their_indices(saved, noisy, options):
    options = options | {"continuous": False}
    loaded, averaged = saved("vpsde", **options)
    checkpoint, x = score_sde.load(loaded, "cpu"), noisy[0]
    network = network_of(score_sde.from_config(config("vpsde", **options)), averaged)
    alphas_sq = torch.cumprod(1 - torch.linspace(1e-3, 0.2, SCALES, dtype=torch.float64), 0)
    assert checkpoint.schedule == DiscreteSchedule(alphas_sq)
    assert checkpoint.target == NOISE
    t = torch.tensor([0, 40, 99])
    assert torch.equal(checkpoint.predict(x, t), network(x, t.float()))
    assert not torch.allclose(checkpoint.predict(x, t), network(x, 999 * t / 99), atol=1e-3)


def test_the_table_of_the_published_network_is_ddpms():
    schedule = score_sde.PRESETS["cifar10-ddpmpp-vp-discrete"].schedule(1000)
    expected = table_schedule(linear_betas(1000))
    t = torch.arange(1000)
    assert torch.allclose(schedule.log_snr(t), expected.log_snr(t), rtol=1e-12)


@pytest.mark.parametrize("options", [{}, AS_DDPM])
def test_score_of_a_table_is_that_of_the_nearest_level(saved, noisy, options):
    """Upstream's levels fall with their number: t = 1 - i/(n - 1) has the noise of level i."""
    options = options | {"continuous": False}
    loaded, averaged = saved("vesde", **options)
    checkpoint, x_t = score_sde.load(loaded, "cpu"), noisy[0]
    network = network_of(score_sde.from_config(config("vesde", **options)), averaged)
    level = torch.tensor([0, 37, 99])
    t = 1 - level.double() / 99
    assert checkpoint.schedule == VEGeometric(0.02, 100.0, t_min=0.0)
    assert checkpoint.target == SCORE
    sigma = 2 * averaged["sigmas"][level]
    assert torch.allclose(checkpoint.schedule.sigma(t).float(), sigma, rtol=1e-5)
    expected = network(x_t, level.float()) / 2
    nearest = (t + torch.tensor([-0.4, 0.4, 0.3]) / 99).double()
    for times in (t, nearest):
        assert torch.allclose(checkpoint.predict(x_t, times), expected, rtol=1e-5)
    network.scale_by_sigma = False
    unscaled = network(x_t, level.float())
    assert torch.allclose(unscaled / sigma[:, None, None, None], expected, rtol=1e-4)
    further = checkpoint.predict(x_t, t + torch.tensor([-0.6, 0.6, 0.6]) / 99)
    assert not torch.allclose(further, expected, rtol=1e-2)


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
        img_resolution=8, in_channels=2, out_channels=2, model_channels=8, channel_mult=[1, 2, 2],
        num_blocks=2, attn_resolutions=[4],
        embedding_type=embedding, encoder_type=encoder, decoder_type=decoder, resample_filter=taps,
        channel_mult_noise=2 if embedding == "fourier" else 1,
    )  # fmt: skip
    song = with_weights(lambda: unfilled.to("meta"), random_state(unfilled), "it")
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
    settings = SDESettings("vpsde", True, (0.1, 20.0), network)
    ours = network_of(settings, state | {"sigmas": torch.ones(10)})
    x, _ = noisy
    label = torch.tensor([0.3, 2.0, 9.0])
    with torch.no_grad():
        expected = song(x, label.log() if embedding == "fourier" else label, None)
        assert torch.allclose(ours(x, label), expected, atol=1e-4)
        assert not torch.allclose(ours(x, 1.1 * label), expected, atol=1e-4)


def as_ddpm(network: DDPM, levels: int, blocks: int) -> dict[str, torch.Tensor]:
    """The state of a network without attention but in the middle, with DDPM's own names."""
    places = ["temb.dense.0", "temb.dense.1", "conv_in"]
    for level in range(levels):
        places += [f"down.{level}.block.{block}" for block in range(blocks)]
        places += [f"down.{level}.downsample"] * (level < levels - 1)
    places += ["mid.block_1", "mid.attn_1", "mid.block_2"]
    for level in reversed(range(levels)):
        places += [f"up.{level}.block.{block}" for block in range(blocks + 1)]
        places += [f"up.{level}.upsample"] * (level > 0)
    places += ["norm_out", "conv_out"]
    block = {"GroupNorm_0": "norm1", "Conv_0": "conv1", "Dense_0": "temb_proj",
             "GroupNorm_1": "norm2", "Conv_1": "conv2", "NIN_0": "nin_shortcut"}  # fmt: skip
    attended = {"GroupNorm_0": "norm"} | {
        f"NIN_{i}": part for i, part in enumerate(("q", "k", "v", "proj_out"))
    }
    state = {}
    for place, layer in zip(places, network.all_modules, strict=True):
        named = attended if "attn" in place else block
        named = {"Conv_0": "conv"} if isinstance(layer, ConvResampling) else named
        for name, tensor in layer.state_dict().items():
            part, _, end = name.rpartition(".")
            if end in "Wb":
                tensor = tensor.t()[:, :, None, None] if end == "W" else tensor
                end = {"W": "weight", "b": "bias"}[end]
            state[".".join(filter(None, (place, named.get(part, part), end)))] = tensor
    return state


def test_numbers_are_those_of_ddpms_network(noisy):
    """Upstream has attention once at a level on the way up, DDPM after every block."""
    settings = score_sde.from_config(config(
        **AS_DDPM, ch_mult=[1, 2], num_res_blocks=2, attn_resolutions=[]
    ))  # fmt: skip
    ours = network_of(settings, state_of(settings))
    architecture = ddpm_unet.DDPMArchitecture(2, 2, 128, (1, 2), 2, ())
    state = ddpm_unet.renamed(as_ddpm(ours, levels=2, blocks=2))
    theirs = with_weights(lambda: ddpm_unet.build(architecture, 8), state, "it")
    x, label = noisy[0], torch.tensor([0.3, 200.0, 999.0])
    with torch.no_grad():
        expected = theirs(x, label).sample
        assert torch.allclose(ours(x, label), expected, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(ours(x, 1.1 * label), expected, rtol=1e-3, atol=1e-4)


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
    with refusal(r'fits vp and subvp.*checkpoint_8.json.*"config": "vp"'):
        score_sde.load(saved("vpsde", sidecar={})[0], "cpu")
    named = score_sde.load(saved("vpsde", sidecar={"config": "subvp"})[0], "cpu")
    assert named.schedule == SubVP(0.1, 20.0, t_min=1e-5)


ALIKE = [
    ["cifar10-ddpm-vp-discrete", "cifar10-ddpm-vp", "cifar10-ddpm-subvp"],
    ["cifar10-ddpmpp-vp-discrete", "cifar10-ddpmpp-vp", "cifar10-ddpmpp-subvp"],
    ["cifar10-ddpmpp-deep-vp", "cifar10-ddpmpp-deep-subvp"],
]


def test_weights_tell_published_networks_but_their_times_and_vp_from_subvp(tmp_path, monkeypatch):
    with torch.device("meta"):  # each is built once: all are compared with all
        built = {name: preset.build(1000) for name, preset in score_sde.PRESETS.items()}
    by_preset = {id(preset): built[name] for name, preset in score_sde.PRESETS.items()}
    monkeypatch.setattr(SDESettings, "build", lambda self, n: by_preset[id(self)])
    file = source(tmp_path / "checkpoint_8.pth", {})
    for name, settings in score_sde.PRESETS.items():
        state = dict(built[name].state_dict())
        greatest = settings.limits[1] if settings.sde == "vesde" else 50.0
        state["sigmas"] = torch.logspace(math.log10(greatest), -2, 1000)
        alike = next((group for group in ALIKE if name in group), [name])
        if len(alike) == 1:
            assert score_sde._settings(file, state) == settings, name
            continue
        with refusal(f" fits {' and '.join(alike)}, which weights do not tell", name):
            score_sde._settings(file, state)
        named = replace(file, sidecar={"config": name})
        assert score_sde._settings(named, state) == settings, name


def published(sde, blocks, size=32, continuous=True, **model):
    """Upstream's configuration of a published network."""
    small = config(sde, continuous)
    wide = {"nf": 128, "ch_mult": [1, 2, 2, 2], "attn_resolutions": [16], "num_res_blocks": blocks}
    return {
        **small,
        "data": small["data"] | {"image_size": size, "num_channels": 3},
        "model": small["model"] | wide | model,
    }


PYRAMID = {"progressive": "output_skip", "progressive_input": "input_skip"}
AT_256 = {"ch_mult": [1, 1, 2, 2, 2, 2, 2], **PYRAMID}
AT_1024 = {"nf": 16, "ch_mult": [1, 2, 4, 8, 16, 32, 32, 32], **PYRAMID}
UPSTREAM = {
    "cifar10-ddpm-vp-discrete": published("vpsde", 2, continuous=False, name="ddpm"),
    "cifar10-ddpm-vp": published("vpsde", 2, name="ddpm"),
    "cifar10-ddpm-subvp": published("subvpsde", 2, name="ddpm"),
    "cifar10-ddpmpp-vp-discrete": published("vpsde", 4, continuous=False),
    "cifar10-ddpmpp-vp": published("vpsde", 4),
    "cifar10-ddpmpp-subvp": published("subvpsde", 4),
    "cifar10-ddpmpp-deep-vp": published("vpsde", 8),
    "cifar10-ddpmpp-deep-subvp": published("subvpsde", 8),
    "cifar10-ncsnpp-ve-discrete": published("vesde", 4, continuous=False),
    "cifar10-ncsnpp-ve": published("vesde", 4),
    "cifar10-ncsnpp-deep-ve": published("vesde", 8),
    "celebahq-or-ffhq-256-ncsnpp-ve": published("vesde", 2, 256, sigma_max=348, **AT_256),
    "bedroom-256-ncsnpp-ve": published("vesde", 2, 256, sigma_max=378, **AT_256),
    "church-256-ncsnpp-ve": published("vesde", 2, 256, sigma_max=380, **AT_256),
    "celebahq-or-ffhq-1024-ncsnpp-ve": published("vesde", 1, 1024, sigma_max=1348, **AT_1024),
}


def test_published_presets_are_upstreams_configurations():
    assert {
        name: score_sde.from_config(told) for name, told in UPSTREAM.items()
    } == score_sde.PRESETS


def test_published_presets_have_their_published_sizes():
    def parameters(name):
        with torch.device("meta"):
            network = score_sde.PRESETS[name].build(1000)
        return round(sum(p.numel() for p in network.parameters()) / 1e6, 1)

    assert parameters("cifar10-ddpmpp-vp") == 61.8
    assert parameters("cifar10-ncsnpp-deep-ve") == 107.6


def test_fingerprint_knows_the_averages_and_the_sde(saved):
    def mark(sde="vpsde", change=lambda c: None, **options):
        return score_sde.load(saved(sde, change, **options)[0], "cpu").fingerprint

    def nudge(written):
        written["ema"]["shadow_params"][3] += 1e-6

    assert mark() == mark()
    centered = {"config": config("vesde") | {"data": config()["data"]}}
    marks = [
        mark(), mark("subvpsde"), mark(change=nudge), mark(continuous=False), mark(beta_max=19.0),
        mark(skip_rescale=False), mark("vesde"), mark("vesde", sidecar=centered),
    ]  # fmt: skip
    assert len(set(marks)) == len(marks)


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


BROKEN = [
    (without("ema"), "averaged weights under ema"),
    (without("ema", "shadow_params"), "averaged weights under ema"),
    (without("ema", "shadow_params", 0), r"expected \d+ averaged weights"),
    (drop_both, "the network lacks all_modules.2.bias$"),
    (reshape, r"an average of all_modules.0.weight of shape .32, 8., got .3,."),
]
WRONG = [
    ({}, "fits no preset: expected checkpoint_8.json"),
    ({"config": "cifar11"}, "expected config to be one of cifar10-ddpm-vp"),
    ({"config": {}}, "expected the section training, got None"),
    ({"config": config() | {"data": {"centered": True}}}, "expected image_size"),
    ({"config": config(name="ncsnv2")}, "model.name ncsnpp or ddpm, got 'ncsnv2'"),
    ({"config": config(**AS_DDPM)}, "the network lacks"),
    ({"config": config(name="ddpm")}, "nf of at least 128 with ddpm, got 8"),
    ({"config": config(**AS_DDPM | {"resamp_with_conv": False})},
     "model.resamp_with_conv True, got False"),
    ({"config": config(resblock_type="ddpm")}, "resblock_type 'biggan'"),
    ({"config": config(progressive="residual")}, "none or output_skip"),
    ({"config": config(progressive="output_skip")}, "fir with a pyramid"),
    ({"config": config("vpsde") | {"training": {"sde": "edm"}}}, "got 'edm'"),
    ({"config": config(nf=16)}, "of shape"),
    ({"config": config(num_res_blocks=2)}, "the network lacks"),
]  # fmt: skip


def test_files_that_do_not_fit_are_refused_in_one_line(saved):
    for change, message in BROKEN:
        loaded, _ = saved("vpsde", change)
        with refusal(message):
            score_sde.load(loaded, "cpu")


def test_configurations_that_do_not_fit_are_refused_in_one_line(saved):
    loaded, _ = saved("vpsde")
    for sidecar, message in WRONG:
        with refusal(message, sidecar):
            score_sde.load(replace(loaded, sidecar=sidecar), "cpu")


def test_networks_not_continuous_or_not_centered_are_refused():
    discrete = config("subvpsde", continuous=False)
    fourier = config("vesde", continuous=False, embedding_type="fourier")
    uncentered = config() | {"data": {"image_size": 8, "num_channels": 2, "centered": False}}
    for wrong, message in (
        (discrete, "continuous with subvpsde"),
        (fourier, "continuous with fourier"),
        (uncentered, "centered with vpsde"),
    ):
        with refusal(message):
            score_sde.from_config(wrong)


def test_conditions_are_refused_and_dtypes_kept(saved, noisy):
    checkpoint, (x, t) = score_sde.load(saved()[0], "cpu"), noisy
    assert checkpoint.predict(x.double(), t.double()).dtype == torch.float64
    with refusal("unconditional"):
        checkpoint.predict(x, t, torch.zeros(3))


def test_other_content_is_not_recognized(tmp_path):
    for other in ({"model": {"conv.weight": 1}}, [1], {"ema": {}}):
        assert not score_sde.FAMILY.recognizes(source(tmp_path, other))
