"""DDPM's, DDIM's, improved- and guided-diffusion's files: against upstream, and on small ones."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from real.checkpoints import load
from real.families.beta_tables import NAMED, linear_betas
from real.families.ddpm import loader as ddpm
from real.families.ddpm import unet as ddpm_unet
from real.families.guided_diffusion import loader as guided
from real.families.guided_diffusion import unet as guided_unet
from real.families.sidecar_settings import Preset
from real.files.state_dicts import state_of
from tests.real.state_files import (
    SMALL_DDPM,
    SMALL_GUIDED,
    SMALL_SETTINGS,
    WRITERS,
    ddpm_state,
    guided_state,
    upstream_outputs,
    write,
)
from tests.refusals import refusal
from theory.calibration.procedure import calibrate
from theory.calibration.validation import validate
from theory.diffusion.targets import DATA, NOISE

UPSTREAM = (
    "ddpm/ema_tiny.ckpt", "ddim/ckpt_tiny.pth", "improved_diffusion/tiny_uncond.pt",
    "guided_diffusion/tiny_cond.pt",
)  # fmt: skip


recorded = pytest.mark.skipif(upstream_outputs() is None, reason="no upstream outputs here")


@recorded
@pytest.mark.parametrize("file", UPSTREAM)
def test_predictions_agree_with_upstream(file):
    path = upstream_outputs() / file
    checkpoint, outputs = load(path), np.load(path.with_suffix(".npz"))
    labels = outputs.get("class_labels")
    x_t, t = torch.from_numpy(outputs["x"]), torch.from_numpy(outputs["t"])
    y = checkpoint.predict(x_t, t, None if labels is None else torch.from_numpy(labels))
    expected = torch.from_numpy(outputs["prediction"])[:, :3]
    assert (y - expected).abs().max() < 1e-5
    assert checkpoint.shape == (3, 16, 16)
    assert checkpoint.conditions == (None if labels is None else 4)
    assert checkpoint.family == ("ddpm" if file.startswith("dd") else "guided")
    assert checkpoint.target == NOISE
    assert len(checkpoint.schedule.alphas_cumprod) == 1000


@recorded
def test_ddim_takes_the_moving_average():
    path = upstream_outputs() / "ddim" / "ckpt_tiny.pth"
    content = torch.load(path, weights_only=True)
    state = state_of(content)
    assert torch.equal(state["conv_in.weight"], content[-1]["conv_in.weight"])
    assert not torch.equal(state["conv_in.weight"], content[0]["module.conv_in.weight"])


SMALL = {
    "ddpm": (ddpm_state(), {"config": SMALL_DDPM}),
    "ddim": (
        [{"module.x": torch.zeros(1)}, {"state": {}}, 1, 2,
         {f"module.{name}": value for name, value in ddpm_state(seed=1).items()}],
        {"config": SMALL_DDPM},
    ),
    "improved": (guided_state(), SMALL_SETTINGS),
    "guided": (
        guided_state(dataclasses.replace(SMALL_GUIDED, classes=5, resampling_blocks=True)),
        {"kwargs": {"image_size": 16, "num_head_channels": 16}, "schedule": "cosine"},
    ),
    "fixed variance, embedding added": (
        guided_state(dataclasses.replace(SMALL_GUIDED, out_channels=3, scale_shift=False)),
        SMALL_SETTINGS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", SMALL)
def test_a_small_network_calibrates_and_validates(tmp_path, kind):
    content, sidecar = SMALL[kind]
    checkpoint = load(write(tmp_path / "renamed.bin", content, sidecar))
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((20, *checkpoint.shape), generator=generator) * 2 - 1
    predict = checkpoint.predict
    if checkpoint.conditions:
        predict = lambda x, t: checkpoint.predict(x, t, torch.full((len(x),), 3))  # noqa: E731
    calibration = calibrate(
        predict, checkpoint.schedule, target=checkpoint.target, images=images[:12], times=[5, 900],
        provenance={"fingerprint": checkpoint.fingerprint},
    )  # fmt: skip
    validation = validate(predict, calibration, images=images[12:])
    assert validation.n == 8
    assert torch.isfinite(validation.losses).all()
    calibration.require(
        checkpoint.schedule, checkpoint.target, checkpoint.shape, checkpoint.fingerprint
    )


@pytest.mark.parametrize("make", [ddpm_state, guided_state], ids=["ddpm", "guided"])
def test_every_form_of_a_file_is_the_same_network(tmp_path, make):
    sidecar = {**SMALL_SETTINGS, "config": {"size": 16}}
    got = [load(write(tmp_path / form, make(), sidecar, form)) for form in WRITERS]
    assert len({c.fingerprint for c in got}) == 1
    other = load(write(tmp_path / "other", make(seed=1), sidecar))
    assert other.fingerprint != got[0].fingerprint


def test_half_precision_weights_are_used_in_full(tmp_path):
    halves = {name: tensor.half() for name, tensor in guided_state().items()}
    checkpoint = load(write(tmp_path / "half.pt", halves, SMALL_SETTINGS))
    assert next(checkpoint.modules["unet"].parameters()).dtype == torch.float32
    y = checkpoint.predict(torch.zeros(2, 3, 16, 16, dtype=torch.float64), torch.tensor([1, 2]))
    assert y.dtype == torch.float64


def _of_shapes(preset):
    architecture, settings = preset.architecture, preset.settings
    with torch.device("meta"):
        if isinstance(architecture, guided_unet.GuidedArchitecture):
            return guided_unet.GuidedUNet(architecture, guided.heads(settings))
        return ddpm_unet.build(architecture, settings["image_size"])


def _weights(presets, size, **also):
    """How many weights the one published network has that is meant."""
    (found,) = [
        p
        for p in presets
        if p.settings["image_size"] == size
        and all(getattr(p.architecture, name) == value for name, value in also.items())
    ]
    return sum(p.numel() for p in _of_shapes(found).parameters())


def test_published_networks_have_as_many_weights_as_is_known():
    assert _weights(ddpm.PRESETS, 32) == 35_746_307
    assert _weights(guided.PRESETS, 256, resampling_blocks=True, classes=None) == 552_814_086
    for millions, size, also in (
        (52.5, 32, {}),
        (120.6, 64, {"classes": None}),
        (273, 64, {"classes": 1000, "resampling_blocks": False}),
        (296, 64, {"classes": 1000, "resampling_blocks": True}),
        (422, 128, {}),
        (559, 512, {}),
    ):  # as is said, about
        expected = pytest.approx(millions * 1e6, rel=0.01)
        assert _weights(guided.PRESETS, size, **also) == expected, (size, also)


COSINE = {"schedule": "cosine", "num_heads": 4, "diffusion_steps": 4000}
WIDE = {"schedule": "linear", "num_head_channels": 64}
README = [
    (32, COSINE | {"rescale_timesteps": True}),
    (64, COSINE | {"rescale_timesteps": True}),
    (64, COSINE | {"rescale_timesteps": False}),
    (256, {"schedule": "linear", "num_heads": 1}),
    (64, {"schedule": "cosine", "num_head_channels": 64, "use_new_attention_order": True}),
    (128, {"schedule": "linear", "num_heads": 4}),
    (256, WIDE), (256, WIDE), (512, WIDE),
]  # fmt: skip
"""Flags of the READMEs of improved-diffusion and guided-diffusion, as far as shapes do not tell them."""


def test_published_networks_have_the_flags_of_their_readmes():
    expected = [{"image_size": size, **flags} for size, flags in README]
    assert [dict(preset.settings) for preset in guided.PRESETS] == expected


def test_shapes_tell_the_architecture_of_every_published_network():
    for preset in guided.PRESETS:
        state = _of_shapes(preset).state_dict()
        assert guided.guided_architecture(state) == preset.architecture
    for preset in ddpm.PRESETS:
        a, size = preset.architecture, preset.settings["image_size"]
        with torch.device("meta"):
            names = ddpm_unet.renamed(ddpm_meta(a, size)).keys()
        assert names == _of_shapes(preset).state_dict().keys()
        assert ddpm.ddpm_architecture(ddpm_meta(a, size)) == a


def ddpm_meta(architecture, size):
    config = {
        "ch": architecture.width // 4, "mult": list(architecture.multipliers),
        "nres": architecture.blocks, "attn": [size >> level for level in architecture.attention],
        "cin": 3, "size": size,
    }  # fmt: skip
    return {name: _widened(tensor) for name, tensor in ddpm_state(config).items()}


def _widened(tensor):
    shape = [length if length in (1, 3) else 4 * length for length in tensor.shape]
    return torch.empty(shape, device="meta")


def test_no_two_published_networks_of_one_shape_differ_in_settings():
    for presets in (ddpm.PRESETS, guided.PRESETS):
        architectures = [preset.architecture for preset in presets]
        assert len(set(architectures)) == len(architectures)


@pytest.mark.parametrize("family", [ddpm, guided])
def test_settings_come_from_a_published_network_of_the_same_shapes(tmp_path, monkeypatch, family):
    if family is ddpm:
        state, settings = ddpm_state(), {"image_size": 16}
        architecture = ddpm.ddpm_architecture(state)
    else:
        state, architecture = guided_state(), SMALL_GUIDED
        settings = {**SMALL_SETTINGS, "diffusion_steps": 50, "rescale_timesteps": True}
    path = write(tmp_path / "published.pt", state)
    with refusal("image_size"):
        load(path)
    monkeypatch.setattr(family, "PRESETS", (Preset(architecture, settings),))
    assert load(path).shape == (3, 16, 16)
    path.with_suffix(".json").write_text('{"image_size": 32}')
    assert load(path).shape == (3, 32, 32)


def test_what_is_missing_is_named(tmp_path):
    path = write(tmp_path / "bare.pt", guided_state())
    for name in ("image_size", "num_heads or num_head_channels", "schedule or betas", "bare.json"):
        with refusal(name):
            load(path)
    path.with_suffix(".json").write_text(json.dumps({"image_size": 16, "num_heads": -1}))
    with refusal(r"hold num_heads or num_head_channels, schedule or betas:"):
        load(path)


def test_a_time_scale_that_nothing_tells_is_asked_for(tmp_path):
    sidecar = {**SMALL_SETTINGS, "diffusion_steps": 4000}
    with refusal("4000 steps, and expected rescale_timesteps"):
        load(write(tmp_path / "long.pt", guided_state(), sidecar))


def test_rescaled_times_are_the_networks(tmp_path):
    x_t = torch.randn((2, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    got = {}
    for name, steps, rescale, t in (
        ("plain", 1000, False, 10), ("rescaled", 4000, True, 40), ("as they are", 4000, False, 10),
        ("other", 4000, False, 40),
    ):  # fmt: skip
        sidecar = {**SMALL_SETTINGS, "diffusion_steps": steps, "rescale_timesteps": rescale}
        checkpoint = load(write(tmp_path / f"{name}.pt", guided_state(), sidecar))
        assert len(checkpoint.schedule.alphas_cumprod) == steps
        got[name] = checkpoint.predict(x_t, torch.tensor([t, t]))
    assert torch.equal(got["plain"], got["rescaled"])
    assert torch.equal(got["plain"], got["as they are"])
    assert not torch.allclose(got["plain"], got["other"], atol=1e-4)


CHANGES = [
    {}, {"num_heads": 2}, {"num_heads_upsample": 2}, {"num_head_channels": 16}, {"image_size": 32},
    {"use_new_attention_order": True}, {"diffusion_steps": 4000, "rescale_timesteps": True},
]  # fmt: skip


def test_a_fingerprint_knows_every_setting_that_changes_what_is_predicted(tmp_path):
    path, state = tmp_path / "small.pt", guided_state()
    marks = {load(write(path, state, {**SMALL_SETTINGS, **more})).fingerprint for more in CHANGES}
    assert len(marks) == len(CHANGES)


@pytest.mark.parametrize("turned", [False, True])
def test_attention_is_understood_in_any_order(tmp_path, turned):
    """DDPM's as resolutions; guided-diffusion's as factors, or as a text of resolutions."""
    resolutions, factors = [8, 16], [2, 1]
    if turned:
        resolutions, factors = resolutions[::-1], factors[::-1]
    config = {**SMALL_DDPM, "attn": resolutions}
    load(write(tmp_path / "plain.ckpt", ddpm_state(config), {"config": config}))
    state = guided_state(dataclasses.replace(SMALL_GUIDED, attention=(0, 1)))
    for told in (factors, ",".join(map(str, resolutions))):
        sidecar = {**SMALL_SETTINGS, "attention_resolutions": told}
        assert load(write(tmp_path / "guided.pt", state, sidecar)).shape == (3, 16, 16)


def test_a_json_that_does_not_fit_is_refused(tmp_path):
    path = write(tmp_path / "small.ckpt", ddpm_state())
    for sidecar, match in (
        ({"config": {**SMALL_DDPM, "ch": 64}}, "ch = 32 by its shapes, 64 by the JSON"),
        ({"config": {**SMALL_DDPM, "attn": [16]}}, "attn"),
        ({"config": {**SMALL_DDPM, "mult": [2, 1]}}, "mult"),
        ({"config": 3}, "expected objects"),
        ({"image_size": "large"}, "positive whole number as image_size"),
        ({"image_size": 16, "prediction": "magic"}, "target: expected one of"),
        ({"image_size": 16, "betas": "magic"}, "betas: expected"),
        ({"image_size": 16, "betas": [0.1, 2]}, "alphas_cumprod"),
        ({"image_size": 16, "schedule": "magic"}, "schedule: expected one of linear, cosine"),
    ):
        path.with_suffix(".json").write_text(json.dumps(sidecar))
        with refusal(match, sidecar):
            load(path)


def test_the_json_decides_noise_and_target(tmp_path):
    sidecar = {"image_size": 16, "betas": "linear 1e-3..1e-1, 10", "prediction": "data"}
    checkpoint = load(write(tmp_path / "small.ckpt", ddpm_state(), sidecar))
    expected = torch.cumprod(1 - torch.linspace(1e-3, 1e-1, 10, dtype=torch.float64), 0)
    assert torch.allclose(torch.tensor(checkpoint.schedule.alphas_cumprod).double(), expected)
    assert checkpoint.target == DATA
    listed = {"image_size": 16, "betas": torch.linspace(1e-3, 1e-1, 10).double().tolist()}
    other = load(write(tmp_path / "listed.ckpt", ddpm_state(), listed))
    assert other.schedule.alphas_cumprod == pytest.approx(checkpoint.schedule.alphas_cumprod)


def test_tables_of_noise_are_diffusers():
    for name, theirs in (("linear", "linear"), ("cosine", "squaredcos_cap_v2")):
        expected = DDPMScheduler(1000, beta_schedule=theirs).betas.double()
        assert torch.allclose(NAMED[name](1000), expected, rtol=1e-4), name
    assert linear_betas(4000)[-1].item() == pytest.approx(2e-2 / 4)


def _break(state, how):
    match how:
        case "lacks":
            del state[
                next(name for name in state if "out.weight" in name or name == "out.0.weight")
            ]
        case "besides":
            state["extra.weight"] = torch.zeros(1)
        case "shape":
            name = next(n for n in state if n.endswith("emb.weight") or "time_embed.2.b" in n
                        or n == "temb.dense.1.bias")  # fmt: skip
            state[name] = state[name][:-1].clone()
    return state


@pytest.mark.parametrize("make", [ddpm_state, guided_state], ids=["ddpm", "guided"])
def test_wrong_names_and_shapes_are_refused_in_one_line(tmp_path, make):
    for how, match in (("lacks", "lacks"), ("besides", "no place for"), ("shape", "of shape")):
        path = write(tmp_path / "wrong.pt", _break(make(), how), SMALL_SETTINGS)
        with refusal(match, how):
            load(path)
    for shape in ((), (0,), (0, 0), (7, 7), (7, 7, 7, 7)):
        state = {name: torch.zeros(shape) for name in make()}
        with refusal("", shape):
            load(write(tmp_path / "wrong.pt", state, SMALL_SETTINGS))


def test_an_odd_number_of_channels_is_refused(tmp_path):
    state = guided_state(dataclasses.replace(SMALL_GUIDED, out_channels=4))
    with refusal("twice as many, got 3 in, 4 out"):
        load(write(tmp_path / "odd.pt", state, SMALL_SETTINGS))


def test_upsamplers_and_classifiers_are_refused_in_one_line(tmp_path):
    for out_channels in (3, 6):
        shapes = dataclasses.replace(SMALL_GUIDED, in_channels=6, out_channels=out_channels)
        for name, sidecar in (("bare", None), ("told", SMALL_SETTINGS)):
            path = write(tmp_path / f"{name}.pt", guided_state(shapes), sidecar)
            with refusal("is an upsampler, which also takes an image", (out_channels, name)):
                load(path)
        plain = dataclasses.replace(SMALL_GUIDED, in_channels=3, out_channels=out_channels)
        path = write(tmp_path / "plain.pt", guided_state(plain), SMALL_SETTINGS)
        assert load(path).shape[0] == 3
    half = {n: t for n, t in guided_state().items() if not n.startswith(("output_blocks.", "out."))}
    for pool in (
        {"out.0.weight": (64,), "out.2.c_proj.weight": (10, 64, 1)},
        {"out.3.weight": (10, 64, 1, 1)},
    ):
        state = half | {name: torch.zeros(shape) for name, shape in pool.items()}
        path = write(tmp_path / "64x64_classifier.pt", state)
        for family in (None, "guided"):
            with refusal(r"64x64_classifier\.pt is a classifier for guidance", (pool, family)):
                load(path, family=family)


@pytest.fixture
def conditional(tmp_path):
    state = guided_state(dataclasses.replace(SMALL_GUIDED, classes=5))
    return load(write(tmp_path / "conditional.pt", state, SMALL_SETTINGS))


def test_labels_that_do_not_fit_are_refused(conditional):
    for labels in (
        None,
        torch.tensor([1]),
        torch.tensor([0.0, 1.0]),
        torch.tensor([0, 5]),
        [-1, 0],
    ):
        with refusal("expected 2 class labels below 5, got", labels):
            conditional.predict(torch.zeros(2, 3, 16, 16), torch.tensor([1, 1]), labels)


def test_labels_change_the_prediction(conditional):
    x_t, t = torch.zeros(2, 3, 16, 16), torch.tensor([1, 1])
    y = conditional.predict(x_t, t, torch.tensor([0, 4]))
    assert not torch.allclose(y[0], y[1], atol=1e-3)
    assert y.shape == x_t.shape


@pytest.mark.parametrize("make", [ddpm_state, guided_state], ids=["ddpm", "guided"])
def test_an_unconditional_network_takes_no_labels(tmp_path, make):
    checkpoint = load(write(tmp_path / "small.pt", make(), SMALL_SETTINGS))
    with refusal("unconditional"):
        checkpoint.predict(torch.zeros(1, 3, 16, 16), torch.tensor([1]), torch.tensor([0]))


def _attended(attention, x, heads, after_split):
    """Attention head by head, in upstream's order of channels."""
    b, c, h, w = x.shape
    qkv, size = attention.qkv(attention.norm(x.reshape(b, c, -1))), c // heads
    out = []
    for head in range(heads):
        at = [part * c + head * size for part in range(3)] if after_split else [
            (3 * head + part) * size for part in range(3)
        ]  # fmt: skip
        q, k, v = (qkv[:, start : start + size] for start in at)
        weights = torch.softmax(q.transpose(1, 2) @ k / size**0.5, dim=-1)
        out.append(v @ weights.transpose(1, 2))
    return x + attention.proj_out(torch.cat(out, 1)).reshape(b, c, h, w)


@pytest.mark.parametrize("after_split", [False, True])
def test_attention_takes_its_heads_in_either_order(after_split):
    with torch.random.fork_rng(devices=[]):
        attention = guided_unet.QKVAttention(32, 4, after_split)
    x = torch.randn((2, 32, 3, 3), generator=torch.Generator().manual_seed(0))
    expected = _attended(attention, x, 4, after_split)
    assert torch.allclose(attention(x), expected, atol=1e-5)
    assert not torch.allclose(_attended(attention, x, 4, not after_split), expected, atol=1e-3)


def test_heads_are_counted_as_upstream():
    for known, expected in (
        ({"num_heads": 2}, (2, 2, None, False)),
        ({"num_heads": 2, "num_heads_upsample": 8}, (2, 8, None, False)),
        ({"num_head_channels": 16, "use_new_attention_order": True}, (1, 1, 16, True)),
    ):
        heads = guided.heads(known)
        assert dataclasses.astuple(heads) == expected
        down = 4 if heads.width else 2
        assert (heads.down(64), heads.up(64)) == (down, 8 if heads.count_up == 8 else down)


def test_an_embedding_is_added_where_it_does_not_scale():
    with torch.random.fork_rng(devices=[]):
        block = guided_unet.Residual(32, 64, 16, False, torch.nn.Identity())
    generator = torch.Generator().manual_seed(0)
    x, told = (torch.randn(s, generator=generator) for s in ((2, 32, 4, 4), (2, 16)))
    hidden = block.in_layers(x) + block.emb_layers(told)[:, :, None, None]
    assert torch.equal(block(x, told), block.skip_connection(x) + block.out_layers(hidden))


def test_no_random_number_is_drawn_and_no_gradient_kept(tmp_path):
    for make in (ddpm_state, guided_state):
        path, before = write(tmp_path / "small.pt", make(), SMALL_SETTINGS), torch.get_rng_state()
        network = load(path).modules["unet"]
        assert torch.equal(torch.get_rng_state(), before)
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())


def test_settings_are_honoured_under_upstreams_names(tmp_path):
    ours = load(write(tmp_path / "ours.pt", guided_state(), SMALL_SETTINGS))
    named_there = {
        **{k: v for k, v in SMALL_SETTINGS.items() if k != "schedule"},
        "noise_schedule": SMALL_SETTINGS["schedule"], "dropout": 0.1, "use_fp16": False,
    }  # fmt: skip
    theirs = load(write(tmp_path / "theirs.pt", guided_state(), named_there))
    assert theirs.schedule == ours.schedule
    assert theirs.fingerprint == ours.fingerprint
    data = load(
        write(tmp_path / "data.pt", guided_state(), {**named_there, "predict_xstart": True})
    )
    assert data.target.name == "data"
    ends = {"image_size": 16, "beta_start": 1e-3, "beta_end": 0.1, "num_diffusion_timesteps": 10}
    table = load(write(tmp_path / "ends.ckpt", ddpm_state(), ends)).schedule
    same = {"image_size": 16, "betas": "linear 1e-3..1e-1, 10"}
    assert table == load(write(tmp_path / "same.ckpt", ddpm_state(), same)).schedule


def test_settings_that_are_not_understood_are_refused(tmp_path):
    for setting, match in (
        (
            {"rescale_timestep": True},
            "unknown setting 'rescale_timestep'.*; did you mean rescale_timesteps",
        ),
        (
            {"rescale_timesteps": "False"},
            "expected true or false as rescale_timesteps .*got 'False'",
        ),
        ({"num_heads": True}, "expected a positive whole number as num_heads"),
        ({"schedule": ["linear"]}, "expected a text as schedule"),
        ({"predict_xstart": True, "prediction": "noise"}, "predict_xstart says data"),
        ({"beta_start": 1e-3}, "expected beta_start and beta_end together"),
        ({"learn_sigma": False}, "has learn_sigma = True by its shapes"),
        ({"class_cond": True}, "has class_cond = False by its shapes"),
        ({"attention_resolutions": "4,x"}, "expected whole numbers as attention_resolutions"),
    ):
        path = write(tmp_path / "small.pt", guided_state(), {**SMALL_SETTINGS, **setting})
        with refusal(match, setting):
            load(path)


def test_the_first_half_of_a_learned_variance_is_the_prediction(tmp_path):
    x_t, t = torch.ones(1, 3, 16, 16), torch.tensor([5])
    plain = load(write(tmp_path / "plain.pt", guided_state(), SMALL_SETTINGS)).predict(x_t, t)
    for changed, same in ((slice(3, 6), True), (slice(0, 3), False)):
        state = guided_state()
        state["out.2.weight"][changed] += 0.1
        other = load(write(tmp_path / "other.pt", state, SMALL_SETTINGS)).predict(x_t, t)
        assert torch.equal(plain, other) == same


def test_what_is_assumed_by_shape_alone_is_said(tmp_path, monkeypatch):
    preset = Preset(SMALL_GUIDED, {"image_size": 16, "num_heads": 4, "schedule": "cosine"})
    monkeypatch.setattr(guided, "PRESETS", (preset,))
    (note,) = load(write(tmp_path / "bare.pt", guided_state())).notes
    assert "num_heads 4, schedule cosine; bare.json beside it may say else" in note
    partly = load(write(tmp_path / "partly.pt", guided_state(), {"schedule": "linear"})).notes
    assert "num_heads 4" in partly[0] and "schedule" not in partly[0]
    assert load(write(tmp_path / "all.pt", guided_state(), SMALL_SETTINGS)).notes == ()
