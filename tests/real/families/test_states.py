"""DDPM's, DDIM's, improved- and guided-diffusion's files: against upstream, and on small ones."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from real.families.ddpm_adm import ddpm, ddpm_unet, guided, guided_unet

from real.checkpoints import FAMILIES, load
from real.families import beta_tables as betas
from real.families import presets
from real.files.state_dicts import state_of
from tests.real.states import (
    SMALL_DDPM,
    SMALL_GUIDED,
    SMALL_SETTINGS,
    WRITERS,
    ddpm_state,
    fixtures,
    guided_state,
    write,
)
from theory.calibration.procedure import calibrate
from theory.calibration.validation import validate
from theory.diffusion.targets import DATA, NOISE
from theory.support.errors import InputError

UPSTREAM = (
    "ddpm/ema_tiny.ckpt", "ddim/ckpt_tiny.pth", "improved_diffusion/tiny_uncond.pt",
    "guided_diffusion/tiny_cond.pt",
)  # fmt: skip


@pytest.mark.parametrize("file", UPSTREAM)
def test_predictions_agree_with_upstream(file):
    path = fixtures() / file
    checkpoint, recorded = load(path), np.load(path.with_suffix(".npz"))
    labels = recorded.get("class_labels")
    x_t, t = torch.from_numpy(recorded["x"]), torch.from_numpy(recorded["t"])
    y = checkpoint.predict(x_t, t, None if labels is None else torch.from_numpy(labels))
    expected = torch.from_numpy(recorded["prediction"])[:, :3]
    assert (y - expected).abs().max() < 1e-5
    assert checkpoint.shape == (3, 16, 16)
    assert checkpoint.conditions == (None if labels is None else 4)
    assert checkpoint.family == ("ddpm" if file.startswith("dd") else "guided")
    assert checkpoint.target == NOISE
    assert len(checkpoint.schedule.alphas_cumprod) == 1000


def test_ddim_takes_the_moving_average():
    path = fixtures() / "ddim" / "ckpt_tiny.pth"
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
    architecture = preset.architecture
    with torch.device("meta"):
        if isinstance(architecture, guided_unet.Architecture):
            return guided_unet.GuidedUNet(architecture, guided.heads(preset.settings))
        return ddpm_unet.build(architecture, preset.settings["image_size"])


def _preset(kind, size, **also):
    found = [
        p
        for p in presets.PRESETS
        if isinstance(p.architecture, kind.Architecture)
        and p.settings["image_size"] == size
        and all(getattr(p.architecture, name) == value for name, value in also.items())
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("preset", "weights"),
    [
        (_preset(ddpm_unet, 32), 35_746_307),
        (_preset(guided_unet, 256, resampling_blocks=True, classes=None), 552_814_086),
    ],
    ids=["DDPM CIFAR-10", "guided-diffusion 256 unconditional"],
)
def test_published_networks_have_as_many_weights_as_is_known(preset, weights):
    assert sum(p.numel() for p in _of_shapes(preset).parameters()) == weights


@pytest.mark.parametrize(
    ("preset", "millions"),
    [
        (_preset(guided_unet, 32), 52.5),
        (_preset(guided_unet, 64, classes=None), 120.6),
        (_preset(guided_unet, 64, classes=1000, resampling_blocks=False), 273),
        (_preset(guided_unet, 64, classes=1000, resampling_blocks=True), 296),
        (_preset(guided_unet, 128), 422),
        (_preset(guided_unet, 512), 559),
    ],
)
def test_published_networks_have_about_as_many_weights_as_is_said(preset, millions):
    count = sum(p.numel() for p in _of_shapes(preset).parameters())
    assert count == pytest.approx(millions * 1e6, rel=0.01)


@pytest.mark.parametrize("preset", presets.PRESETS, ids=lambda p: str(p.settings["image_size"]))
def test_shapes_tell_the_architecture_of_every_published_network(preset):
    if isinstance(preset.architecture, guided_unet.Architecture):
        state = _of_shapes(preset).state_dict()
        assert guided.read_architecture(state) == preset.architecture
    else:
        a, size = preset.architecture, preset.settings["image_size"]
        with torch.device("meta"):
            names = ddpm_unet.renamed(ddpm_meta(a, size)).keys()
        assert names == _of_shapes(preset).state_dict().keys()
        assert ddpm.read_architecture(ddpm_meta(a, size)) == a


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
    architectures = [preset.architecture for preset in presets.PRESETS]
    assert len(set(architectures)) == len(architectures)


@pytest.mark.parametrize("kind", ["ddpm", "guided"])
def test_settings_come_from_a_published_network_of_the_same_shapes(tmp_path, monkeypatch, kind):
    if kind == "ddpm":
        state, settings = ddpm_state(), {"image_size": 16}
        architecture = ddpm.read_architecture(state)
    else:
        state, architecture = guided_state(), SMALL_GUIDED
        settings = {**SMALL_SETTINGS, "diffusion_steps": 50, "rescale_timesteps": True}
    path = write(tmp_path / "published.pt", state)
    with pytest.raises(InputError, match="image_size"):
        load(path)
    monkeypatch.setattr(presets, "PRESETS", (presets.Preset(architecture, settings),))
    assert load(path).shape == (3, 16, 16)
    path.with_suffix(".json").write_text('{"image_size": 32}')
    assert load(path).shape == (3, 32, 32)


def test_what_is_missing_is_named(tmp_path):
    path = write(tmp_path / "bare.pt", guided_state())
    with pytest.raises(InputError) as caught:
        load(path)
    for name in ("image_size", "num_heads or num_head_channels", "schedule or betas", "bare.json"):
        assert name in str(caught.value)
    path.with_suffix(".json").write_text(json.dumps({"image_size": 16, "num_heads": -1}))
    with pytest.raises(
        InputError, match=r"hold num_heads or num_head_channels, schedule or betas:"
    ):
        load(path)


def test_a_time_scale_that_nothing_tells_is_asked_for(tmp_path):
    sidecar = {**SMALL_SETTINGS, "diffusion_steps": 4000}
    with pytest.raises(InputError, match="4000 steps, and expected rescale_timesteps"):
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


@pytest.mark.parametrize(
    ("sidecar", "match"),
    [
        ({"config": {**SMALL_DDPM, "ch": 64}}, "ch = 32 by its shapes, 64 by the JSON"),
        ({"config": {**SMALL_DDPM, "attn": [16]}}, "attn"),
        ({"config": {**SMALL_DDPM, "mult": [2, 1]}}, "mult"),
        ({"config": 3}, "expected objects"),
        ({"image_size": "large"}, "positive whole number as image_size"),
        ({"image_size": 16, "prediction": "magic"}, "target: expected one of"),
        ({"image_size": 16, "betas": "magic"}, "betas: expected"),
        ({"image_size": 16, "betas": [0.1, 2]}, "alphas_cumprod"),
        ({"image_size": 16, "schedule": "magic"}, "schedule: expected one of linear, cosine"),
    ],
)
def test_a_json_that_does_not_fit_is_refused(tmp_path, sidecar, match):
    with pytest.raises(InputError, match=match):
        load(write(tmp_path / "small.ckpt", ddpm_state(), sidecar))


def test_the_json_decides_noise_and_target(tmp_path):
    sidecar = {"image_size": 16, "betas": "linear 1e-3..1e-1, 10", "prediction": "data"}
    checkpoint = load(write(tmp_path / "small.ckpt", ddpm_state(), sidecar))
    expected = torch.cumprod(1 - torch.linspace(1e-3, 1e-1, 10, dtype=torch.float64), 0)
    assert torch.allclose(torch.tensor(checkpoint.schedule.alphas_cumprod).double(), expected)
    assert checkpoint.target == DATA
    listed = {"image_size": 16, "betas": torch.linspace(1e-3, 1e-1, 10).double().tolist()}
    other = load(write(tmp_path / "listed.ckpt", ddpm_state(), listed))
    assert other.schedule.alphas_cumprod == pytest.approx(checkpoint.schedule.alphas_cumprod)


@pytest.mark.parametrize(
    ("name", "theirs"), [("linear", "linear"), ("cosine", "squaredcos_cap_v2")]
)
def test_tables_of_noise_are_diffusers(name, theirs):
    expected = DDPMScheduler(1000, beta_schedule=theirs).betas.double()
    assert torch.allclose(betas.NAMED[name](1000), expected, rtol=1e-4)
    assert betas.linear(4000)[-1].item() == pytest.approx(2e-2 / 4)


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
@pytest.mark.parametrize(
    ("how", "match"), [("lacks", "lacks"), ("besides", "besides"), ("shape", "of shape")]
)
def test_wrong_names_and_shapes_are_refused_in_one_line(tmp_path, make, how, match):
    path = write(tmp_path / "wrong.pt", _break(make(), how), SMALL_SETTINGS)
    with pytest.raises(InputError, match=match) as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [ddpm_state, guided_state], ids=["ddpm", "guided"])
def test_shapes_that_make_no_network_are_refused(tmp_path, make):
    for shape in ((), (0,), (0, 0), (7, 7), (7, 7, 7, 7)):
        state = {name: torch.zeros(shape) for name in make()}
        with pytest.raises(InputError) as caught:
            load(write(tmp_path / "wrong.pt", state, SMALL_SETTINGS))
        assert "\n" not in str(caught.value)


def test_an_odd_number_of_channels_is_refused(tmp_path):
    state = guided_state(dataclasses.replace(SMALL_GUIDED, out_channels=4))
    with pytest.raises(InputError, match="twice as many, got 3 in, 4 out"):
        load(write(tmp_path / "odd.pt", state, SMALL_SETTINGS))


@pytest.mark.parametrize("out_channels", [3, 6])
def test_an_upsampler_is_refused_in_one_line(tmp_path, out_channels):
    shapes = dataclasses.replace(SMALL_GUIDED, in_channels=6, out_channels=out_channels)
    for name, sidecar in (("bare", None), ("told", SMALL_SETTINGS)):
        path = write(tmp_path / f"{name}.pt", guided_state(shapes), sidecar)
        with pytest.raises(
            InputError, match="is an upsampler, which also takes an image"
        ) as caught:
            load(path)
        assert "\n" not in str(caught.value)
    plain = dataclasses.replace(SMALL_GUIDED, in_channels=3, out_channels=out_channels)
    assert load(write(tmp_path / "plain.pt", guided_state(plain), SMALL_SETTINGS)).shape[0] == 3


@pytest.mark.parametrize("pool", [{"out.0.weight": (64,), "out.2.c_proj.weight": (10, 64, 1)},
                                  {"out.3.weight": (10, 64, 1, 1)}])  # fmt: skip
def test_a_classifier_is_refused_in_one_line(tmp_path, pool):
    half = {n: t for n, t in guided_state().items() if not n.startswith(("output_blocks.", "out."))}
    state = half | {name: torch.zeros(shape) for name, shape in pool.items()}
    path = write(tmp_path / "64x64_classifier.pt", state)
    for family in (None, "guided"):
        with pytest.raises(InputError, match=r"64x64_classifier\.pt is a classifier for guidance"):
            load(path, family=family)


def test_a_family_may_be_named(tmp_path):
    path = write(tmp_path / "small.ckpt", ddpm_state(), {"image_size": 16})
    assert load(path, family="ddpm").fingerprint == load(path).fingerprint
    with pytest.raises(InputError, match=r"one of the families .*ddpm.*guided.*got 'magic'"):
        load(path, family="magic")


CONTENTS = {
    "ddpm": ddpm_state,
    "guided": guided_state,
    None: lambda: {"ema": torch.zeros(1), "model": {"sigmas": torch.zeros(1)}},
}


@pytest.mark.parametrize("family", sorted({family.name for family in FAMILIES}))
def test_a_named_family_must_recognize_what_it_loads(tmp_path, pipeline, family):
    """No family meets content that is not its own, so none has to expect it."""
    for own, make in CONTENTS.items():
        path = write(tmp_path / "some.pt", make(), SMALL_SETTINGS)
        if family == own:
            assert load(path, family=family).family == own
            continue
        with pytest.raises(
            InputError, match=f"of another family than {family}; it holds"
        ) as caught:
            load(path, family=family)
        assert "\n" not in str(caught.value)
    if not family.startswith("diffusers"):
        with pytest.raises(InputError, match=f"of another family than {family}; it is a folder"):
            load(pipeline, family=family)


def test_a_named_family_goes_before_others_that_recognize_the_same(tmp_path, monkeypatch):
    path = write(tmp_path / "small.ckpt", ddpm_state(), {"image_size": 16})
    usual = next(family for family in FAMILIES if family.name == "ddpm")
    other = dataclasses.replace(
        usual,
        name="other",
        load=lambda *given: dataclasses.replace(usual.load(*given), family="other"),
    )
    monkeypatch.setattr("real.checkpoints.loading.FAMILIES", (*FAMILIES, other))
    assert load(path).family == "ddpm"
    assert load(path, family="other").family == "other"


@pytest.fixture
def conditional(tmp_path):
    state = guided_state(dataclasses.replace(SMALL_GUIDED, classes=5))
    return load(write(tmp_path / "conditional.pt", state, SMALL_SETTINGS))


@pytest.mark.parametrize(
    "labels", [None, torch.tensor([1]), torch.tensor([0.0, 1.0]), torch.tensor([0, 5]), [-1, 0]]
)
def test_labels_that_do_not_fit_are_refused(conditional, labels):
    with pytest.raises(InputError, match=r"takes labels \(2,\) from 0 to 4"):
        conditional.predict(torch.zeros(2, 3, 16, 16), torch.tensor([1, 1]), labels)


def test_labels_change_the_prediction(conditional):
    x_t, t = torch.zeros(2, 3, 16, 16), torch.tensor([1, 1])
    y = conditional.predict(x_t, t, torch.tensor([0, 4]))
    assert not torch.allclose(y[0], y[1], atol=1e-3)
    assert y.shape == x_t.shape


@pytest.mark.parametrize("make", [ddpm_state, guided_state], ids=["ddpm", "guided"])
def test_an_unconditional_network_takes_no_labels(tmp_path, make):
    checkpoint = load(write(tmp_path / "small.pt", make(), SMALL_SETTINGS))
    with pytest.raises(InputError, match="unconditional"):
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
        attention = guided_unet.Attention(32, 4, after_split)
    x = torch.randn((2, 32, 3, 3), generator=torch.Generator().manual_seed(0))
    expected = _attended(attention, x, 4, after_split)
    assert torch.allclose(attention(x), expected, atol=1e-5)
    assert not torch.allclose(_attended(attention, x, 4, not after_split), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"num_heads": 2}, (2, 2, None, False)),
        ({"num_heads": 2, "num_heads_upsample": 8}, (2, 8, None, False)),
        ({"num_head_channels": 16, "use_new_attention_order": True}, (1, 1, 16, True)),
    ],
)
def test_heads_are_counted_as_upstream(known, expected):
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
