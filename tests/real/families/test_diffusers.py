"""Every kind of diffusers pipeline: loaded, called as its own pipeline calls it, calibrated."""

import importlib.util
import json
import math
import re
import shutil
from contextlib import suppress
from pathlib import Path

import diffusers
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    LDMPipeline,
    UNet2DModel,
)
from diffusers.configuration_utils import FrozenDict
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.autoencoders.vq_model import VQEncoderOutput
from diffusers.utils import logging as logs
from safetensors.torch import load_file, save_file
from transformers import T5EncoderModel
from transformers.utils import logging as logs_of_text

from real.checkpoints import load
from real.families.diffusers import text as diffusers_text
from real.families.diffusers import vae
from real.families.diffusers.half_weights import HALVES
from real.families.diffusers.network import network_fingerprint
from real.families.diffusers.process import process_of, process_of_scheduler
from real.families.diffusers.text import _quiet_transformers
from tests.real import tiny_pipelines
from tests.refusals import refusal
from theory.calibration.procedure import calibrate
from theory.calibration.validation import validate
from theory.diffusion.schedules import RectifiedFlow
from theory.diffusion.targets import FLOW, NOISE, VELOCITY
from theory.support.errors import InputError

LATENT = ("sd1", "sd2", "xl", "dit", "sd3", "sd3-t5")
TEXTS = ["a cat", "", "dogs", "z"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pipelines")
    return {kind: tiny_pipelines.save(kind, root / kind) for kind in tiny_pipelines.MAKERS}


@pytest.fixture(scope="module")
def checkpoints(folders):
    return {kind: load(folder) for kind, folder in folders.items()}


def generator():
    return torch.Generator().manual_seed(0)


def quiet_pipeline(folder):
    index = json.loads((folder / "model_index.json").read_text())
    without_t5 = index.get("text_encoder_3") == [None, None]
    absent = {"text_encoder_3": None, "tokenizer_3": None} if without_t5 else {}
    pipe = DiffusionPipeline.from_pretrained(folder, **absent)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def own_calls(pipe, arguments):
    """What the pipeline itself gives its network, and what comes out, at each step."""
    calls = []

    def watch(module, args, kwargs, output):
        x_t = args[0] if args else kwargs["hidden_states"]
        t = args[1] if len(args) > 1 else kwargs["timestep"]
        calls.append((x_t, torch.as_tensor(t).expand(len(x_t)), output[0]))

    network = getattr(pipe, "unet", None) or pipe.transformer
    handle = network.register_forward_hook(watch, with_kwargs=True)
    pipe(**arguments, num_inference_steps=2, generator=generator())
    handle.remove()
    return calls


CALLS = {
    "sd1": ({"prompt": "a cat", "output_type": "latent"}, ["", "a cat"]),
    "sd2": ({"prompt": "dogs", "output_type": "latent"}, ["", "dogs"]),
    "xl": ({"prompt": "a cat", "output_type": "latent"}, ["", "a cat"]),
    "dit": ({"class_labels": [7], "output_type": "pt"}, torch.tensor([7, 1000])),
    "sd3": ({"prompt": "a cat", "output_type": "latent"}, ["", "a cat"]),
    "sd3-t5": ({"prompt": "a cat", "output_type": "latent"}, ["", "a cat"]),
}


@pytest.mark.parametrize("kind", LATENT)
def test_prediction_is_that_of_the_pipelines_own_call(folders, checkpoints, kind):
    arguments, condition = CALLS[kind]
    checkpoint = checkpoints[kind]
    calls = own_calls(quiet_pipeline(folders[kind]), arguments)
    assert len(calls) == 2
    for x_t, t, y in calls:
        t = t / 1000 if kind.startswith("sd3") else t
        prediction = checkpoint.predict(x_t, t, condition)
        assert torch.allclose(prediction, y[:, :4], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", LATENT)
def test_conditions_matter_and_none_is_the_null_condition(checkpoints, kind):
    checkpoint = checkpoints[kind]
    x_t = torch.randn(2, *checkpoint.shape, generator=generator())
    t = torch.tensor([0.3, 0.6]) if kind.startswith("sd3") else torch.tensor([300, 600])
    one, other = (["a cat"] * 2, ["dogs"] * 2) if kind != "dit" else ([1, 1], [2, 2])
    assert not torch.equal(checkpoint.predict(x_t, t, one), checkpoint.predict(x_t, t, other))
    null = [checkpoint.null_condition] * 2
    assert torch.equal(checkpoint.predict(x_t, t), checkpoint.predict(x_t, t, null))


def test_what_each_kind_is(checkpoints):
    found = checkpoints
    assert {k: c.target for k, c in found.items()} == {
        "ddpm": NOISE, "sd1": NOISE, "sd2": VELOCITY, "xl": NOISE, "dit": NOISE, "sd3": FLOW,
        "sd3-t5": FLOW,
    }  # fmt: skip
    assert {k: c.family.removeprefix("diffusers-") for k, c in found.items()} == {
        "ddpm": "unet", "sd1": "text-unet", "sd2": "text-unet", "xl": "text-unet", "dit": "dit",
        "sd3": "sd3", "sd3-t5": "sd3",
    }  # fmt: skip
    assert found["sd3"].schedule == RectifiedFlow()
    assert found["dit"].conditions == found["dit"].null_condition == 1000
    assert all(found[k].conditions == "text" for k in ("sd1", "xl", "sd3"))
    assert len({c.fingerprint for c in found.values()}) == len(found) - 2, "sd1 is sd2, sd3 sd3-t5"


@pytest.mark.parametrize("kind", LATENT)
def test_codec_is_the_autoencoder_as_the_pipeline_scales_it(folders, checkpoints, kind):
    codec = checkpoints[kind].codec
    vae = AutoencoderKL.from_pretrained(folders[kind], subfolder="vae")
    images = torch.rand(2, 3, 16, 16, generator=generator()) * 2 - 1
    z = vae.encode(images).latent_dist.mode()
    if kind == "xl":
        mean, std = (torch.tensor(v)[:, None, None] for v in ([0.1, 0.2, 0.3, 0.4], [1.0, 2, 3, 4]))
        expected = (z - mean) * 0.18215 / std
    else:
        expected = (z - (vae.config.shift_factor or 0)) * vae.config.scaling_factor
    latents = codec.encode(images)
    assert codec.shape == (3, 16, 16)
    assert torch.allclose(latents, expected, rtol=1e-5, atol=1e-5)
    assert torch.allclose(codec.decode(latents), vae.decode(z).sample, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", sorted(set(LATENT) - {"dit"}))
def test_decoder_gives_the_pipelines_images(folders, checkpoints, kind):
    checkpoint, pipe = checkpoints[kind], quiet_pipeline(folders[kind])
    latents, images = (
        pipe("a cat", num_inference_steps=1, output_type=form, generator=generator()).images
        for form in ("latent", "pt")
    )
    ours = (checkpoint.codec.decode(latents) / 2 + 0.5).clamp(0, 1)
    assert torch.allclose(ours, images, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [*LATENT, "classes"])
def test_calibrates_and_validates(tmp_path, folders, kind):
    folder = folders.get(kind) or class_unet(tmp_path, num_class_embeds=24)
    checkpoint = load(folder)
    images = torch.rand(24, *checkpoint.image_shape, generator=generator()) * 2 - 1
    latents = checkpoint.codec.encode(images) if checkpoint.codec else images
    conditions = TEXTS * 6 if checkpoint.conditions == "text" else torch.arange(24)
    calibration = calibrate(
        checkpoint.predict, checkpoint.schedule, target=checkpoint.target, images=latents[:16],
        conditions=conditions[:16], times=checkpoint.schedule.grid(5)[1:4],
        provenance={"fingerprint": checkpoint.fingerprint},
    )  # fmt: skip
    held_out = validate(
        checkpoint.predict, calibration, images=latents[16:], conditions=conditions[16:]
    )
    assert calibration.shape == checkpoint.shape
    assert any(e.value > 0 for e in calibration.eta_sq)
    assert held_out.n == 8
    assert all(math.isfinite(e.value) for e in held_out.gain())
    calibration.require(
        checkpoint.schedule, checkpoint.target, checkpoint.shape, load(folder).fingerprint
    )


def test_unconditional_latent_network(tmp_path):
    with torch.random.fork_rng(devices=[]):
        pipe = LDMPipeline(tiny_pipelines.vq(), tiny_pipelines.unet(), DDIMScheduler())
    pipe.save_pretrained(tmp_path)
    checkpoint = load(tmp_path)
    latents, images = torch.randn(2, 3, 8, 8, generator=generator()), torch.zeros(2, 3, 16, 16)
    assert (checkpoint.shape, checkpoint.image_shape) == ((3, 8, 8), (3, 16, 16))
    with torch.no_grad():
        coded = checkpoint.codec.encode(images), checkpoint.codec.decode(latents)
        assert torch.allclose(coded[0], pipe.vqvae.encode(images).latents * 0.5, atol=1e-5)
        assert torch.allclose(coded[1], pipe.vqvae.decode(latents / 0.5).sample, atol=1e-5)


ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")


@pytest.fixture(scope="module", params=[torch.float16, torch.bfloat16], ids=str)
def rounded(request, tmp_path_factory):
    """The same rounded weights of text encoders, stored in half precision and in float32."""
    root = tmp_path_factory.mktemp("rounded")
    pipe = quiet_pipeline(tiny_pipelines.save("sd3-t5", root / "whole"))
    for kind in ("halves", "wide"):
        for part in ENCODERS:
            encoder = getattr(pipe, part).to(request.param)
            if kind == "wide":
                encoder.float()
        pipe.save_pretrained(root / kind)
    return root


def test_text_encoders_of_half_precision_stay_so_and_give_what_float32_gives(rounded, monkeypatch):
    x_t, t = torch.randn(2, 4, 8, 8, generator=generator()), torch.tensor([0.3, 0.6])
    with monkeypatch.context() as patch:
        patch.setattr(diffusers_text, "keep_halves", lambda network, device: network.float())
        expected = load(rounded / "halves").predict(x_t, t, ["a cat", "z"])
    unrounded = load(rounded / "whole").predict(x_t, t, ["a cat", "z"])
    assert not torch.allclose(unrounded, expected, rtol=1e-5, atol=1e-5)
    for kind in ("halves", "wide"):
        checkpoint = load(rounded / kind)
        for _ in range(2):
            got = checkpoint.predict(x_t, t, ["a cat", "z"])
            assert torch.allclose(got, expected, rtol=1e-5, atol=1e-5)
            for part in ENCODERS:
                weights = dict(checkpoint.modules[part].named_parameters())
                inner = {n for n in weights if ".layers." in n or ".block." in n}
                assert inner
                assert all(weights[n].dtype in HALVES for n in inner)
                assert all(weights[n].dtype == torch.float32 for n in weights.keys() - inner)


def test_an_encoder_computes_in_float32_and_not_in_half_precision(rounded):
    ids = torch.tensor([[3, 4, 5, 1]])
    kept = load(rounded / "halves").modules["text_encoder_3"]
    with torch.no_grad():
        ours = kept(ids)[0]
        wide = T5EncoderModel.from_pretrained(rounded / "wide" / "text_encoder_3")(ids)[0]
        half = T5EncoderModel.from_pretrained(rounded / "halves" / "text_encoder_3")(ids)[0]
    assert (ours.dtype, half.dtype.itemsize) == (torch.float32, 2)
    assert torch.allclose(ours, wide, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(half.float(), wide, rtol=1e-5, atol=1e-6)


def test_weights_that_half_precision_does_not_hold_stay_in_float32(checkpoints):
    blocks = checkpoints["sd3-t5"].modules["text_encoder_3"].encoder.block
    products = [w for n, w in blocks.named_parameters() if "layer_norm" not in n]
    assert {weight.dtype for weight in products} == {torch.float32}


def test_weights_are_as_they_were_after_a_call_that_fails(rounded):
    encoder = load(rounded / "halves").modules["text_encoder_3"]
    before = [weight.dtype for weight in encoder.parameters()]
    with pytest.raises(RuntimeError):
        encoder.encoder.block[0](torch.zeros(1, 2, 3))
    assert [weight.dtype for weight in encoder.parameters()] == before


def test_latents_of_a_vector_quantizer_are_scaled_only_where_its_configuration_says_so(tmp_path):
    with torch.random.fork_rng(devices=[]):
        pipe = LDMPipeline(tiny_pipelines.vq(), tiny_pipelines.unet(), DDIMScheduler())
    pipe.save_pretrained(tmp_path)
    file = tmp_path / "vqvae" / "config.json"
    config = json.loads(file.read_text())
    del config["scaling_factor"]
    latents, images = torch.randn(2, 3, 8, 8, generator=generator()), torch.zeros(2, 3, 16, 16)
    with torch.no_grad():
        coded, decode = pipe.vqvae.encode(images).latents, pipe.vqvae.decode
        for scale in (None, 1.0, 0.18215):
            said = {} if scale is None else {"scaling_factor": scale}
            file.write_text(json.dumps(config | said))
            codec, s = load(tmp_path).codec, scale or 1.0
            assert torch.allclose(codec.encode(images), coded * s, atol=1e-5), scale
            assert torch.allclose(codec.decode(latents), decode(latents / s).sample, atol=1e-5)


@pytest.mark.parametrize("kind", ["ddpm", "sd1", "dit"])
def test_any_network_may_be_of_a_rectified_flow(tmp_path, folders, checkpoints, kind):
    folder = tmp_path / kind
    shutil.copytree(folders[kind], folder)
    scheduler = folder / "scheduler" / "scheduler_config.json"
    scheduler.write_text(json.dumps({"_class_name": "FlowMatchEulerDiscreteScheduler"}))
    checkpoint = load(folder)
    x_t = torch.randn(2, *checkpoint.shape, generator=generator())
    assert (checkpoint.schedule, checkpoint.target) == (RectifiedFlow(), FLOW)
    prediction = checkpoint.predict(x_t, torch.tensor([0.25, 0.5]))
    assert torch.equal(prediction, checkpoints[kind].predict(x_t, torch.tensor([250.0, 500.0])))


def class_unet(folder: Path, null_class=None, **config) -> Path:
    with torch.random.fork_rng(devices=[]):
        pipe = tiny_pipelines.DDPMPipeline(
            tiny_pipelines.unet(**config), tiny_pipelines.DDPMScheduler()
        )
    pipe.save_pretrained(folder)
    if null_class is not None:
        edit(folder / "model_index.json", null_class=null_class)
    return folder


def edit(path: Path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_class_conditional_unet_predicts_as_itself(tmp_path):
    checkpoint = load(class_unet(tmp_path, num_class_embeds=5))
    network = UNet2DModel.from_pretrained(tmp_path, subfolder="unet")
    x_t, t = torch.randn(3, 3, 8, 8, generator=generator()), torch.tensor([1, 500, 999])
    for labels in (torch.tensor([0, 2, 4]), torch.tensor([1, 1, 1], dtype=torch.int32)):
        with torch.no_grad():
            expected = network(x_t, t, class_labels=labels).sample
        assert torch.equal(checkpoint.predict(x_t, t, labels), expected)
    assert (checkpoint.conditions, checkpoint.null_condition) == (5, None)
    with refusal("got no condition"):
        checkpoint.predict(x_t, t)


def test_null_class_is_the_last_class_where_the_folder_says_so(tmp_path):
    x_t, t = torch.randn(2, 3, 8, 8, generator=generator()), torch.tensor([1, 500])
    for where in ("model_index.json", "unet/config.json"):
        folder = class_unet(tmp_path / where.replace("/", "-"), num_class_embeds=5)
        edit(folder / where, null_class=4)
        checkpoint = load(folder)
        assert (checkpoint.conditions, checkpoint.null_condition) == (4, 4), where
        assert torch.equal(checkpoint.predict(x_t, t), checkpoint.predict(x_t, t, [4, 4])), where
        edit(folder / where, null_class=2)
        with refusal("expected null_class 4, the last one, got 2", where):
            load(folder)


def test_learned_variance_is_left_out(tmp_path):
    checkpoint = load(class_unet(tmp_path, out_channels=6))
    network = UNet2DModel.from_pretrained(tmp_path, subfolder="unet")
    x_t, t = torch.randn(2, 3, 8, 8, generator=generator()), torch.tensor([1, 500])
    with torch.no_grad():
        assert torch.equal(checkpoint.predict(x_t, t), network(x_t, t).sample[:, :3])
    with refusal(r"expected a network with 3 or 6 channels out.*got 5"):
        load(class_unet(tmp_path / "odd", out_channels=5))


def test_empty_text_of_xl_is_zeros_only_where_its_pipeline_says_so(tmp_path, folders):
    folder = tmp_path / "xl"
    shutil.copytree(folders["xl"], folder)
    x_t, t = torch.randn(1, 4, 8, 8, generator=generator()), torch.tensor([500])
    zeros = load(folder).predict(x_t, t, [""])
    edit(folder / "model_index.json", force_zeros_for_empty_prompt=False)
    assert not torch.allclose(load(folder).predict(x_t, t, [""]), zeros)


def test_zero_terminal_snr_keeps_its_last_time():
    zero_snr = {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    config = tiny_pipelines.SD_BETAS | zero_snr
    schedule = process_of({"_class_name": "DDIMScheduler", **config}).schedule
    euler = EulerDiscreteScheduler(**tiny_pipelines.BETAS, **zero_snr)
    alphas = schedule.alpha(torch.arange(1000))
    assert torch.allclose(alphas**2, euler.alphas_cumprod.double(), rtol=1e-6)
    linear = process_of({"beta_schedule": "linear", **zero_snr}).schedule
    assert 0 < linear.alpha(torch.tensor([999])).item() < 2**-12
    assert process_of_scheduler(euler).schedule == schedule
    with refusal("at SNR 0 a predicted noise tells nothing"):
        process_of(config | {"_class_name": "DDIMScheduler", "prediction_type": "epsilon"})


def schedulers():
    """Every scheduler of the library that can be built without arguments."""
    for name in dir(diffusers.schedulers):
        kind = getattr(diffusers.schedulers, name)
        if isinstance(kind, type) and hasattr(kind, "from_config"):
            with suppress(Exception):  # of an optional library, or with arguments that it needs
                yield name, kind()


def test_every_scheduler_of_the_library_is_read_as_it_is_or_refused():
    """Its own table, with its own defaults, from the object and from its configuration alike."""
    tables, flows, refused = [], [], []
    for name, scheduler in schedulers():
        try:
            process = process_of_scheduler(scheduler)
        except InputError as error:
            refused.append(name)
            assert "expected" in str(error), name
            with refusal(re.escape(str(error)), name):
                process_of({**scheduler.config, "_class_name": name})
            continue
        again = process_of({**scheduler.config, "_class_name": name})
        assert (again.schedule, again.target) == (process.schedule, process.target), name
        if process.target is FLOW:
            flows.append(name)
            continue
        tables.append(name)
        own = scheduler.alphas_cumprod.double()
        assert process.schedule.alphas_cumprod == tuple(own.tolist()), name
    assert {
        "HeunDiscreteScheduler",
        "LCMScheduler",
        "CogVideoXDDIMScheduler",
        "UnCLIPScheduler",
    } <= {*tables}
    assert {"IPNDMScheduler", "EDMEulerScheduler", "SCMScheduler"} <= {*refused}
    assert len(tables) > 15 and len(flows) > 3


def test_settings_that_move_the_time_axis_are_refused():
    betas = {"beta_schedule": "linear"}
    for name, config, said in (
        ("EulerDiscreteScheduler", betas | {"timestep_type": "continuous"}, "timestep_type = 'discrete'"),
        ("FlowMatchEulerDiscreteScheduler", {"invert_sigmas": True}, "invert_sigmas = False"),
        ("DPMSolverMultistepScheduler", betas | {"use_flow_sigmas": True}, "use_flow_sigmas expects"),
        ("AScheduler", {}, "expected a scheduler with betas, got AScheduler"),
        ("DPMSolverMultistepScheduler", betas | {"prediction_type": "x"}, "cannot read|prediction_type"),
    ):  # fmt: skip
        with refusal(said, name):
            process_of({"_class_name": name, **config})
    mine = process_of({"_class_name": "MyScheduler", **betas})
    assert mine == process_of({"_class_name": "DDPMScheduler", **betas})


def test_published_dit_folders_name_another_class(tmp_path, folders):
    folder = tmp_path / "dit"
    shutil.copytree(folders["dit"], folder)
    edit(folder / "transformer" / "config.json", _class_name="Transformer2DModel")
    assert load(folder).fingerprint == load(folders["dit"]).fingerprint
    edit(folder / "transformer" / "config.json", norm_type="layer_norm")
    with refusal("got Transformer2DModel"):
        load(folder)


def test_fingerprint_leaves_out_what_is_not_chosen():
    network = tiny_network()
    before = network_fingerprint(network)
    older = {k: v for k, v in network.config.items() if k != "downsample_type"}
    network._internal_dict = FrozenDict(older)
    assert network_fingerprint(network) == before, "a version that does not know a setting yet"
    network.register_to_config(attention_head_dim=4)
    assert network_fingerprint(network) != before


def test_fingerprint_of_half_precision_is_that_of_the_same_numbers():
    network = tiny_network().half()
    assert network_fingerprint(network) == network_fingerprint(network.float())


def tiny_network():
    with torch.random.fork_rng(devices=[]):
        return tiny_pipelines.unet()


def damage(folder: Path, how: str) -> None:
    index, unet = folder / "model_index.json", folder / "unet" / "config.json"
    match how:
        case "no vae":
            shutil.rmtree(folder / "vae")
        case "other vae":
            edit(folder / "vae" / "config.json", _class_name="AutoencoderTiny")
        case "other latents":
            other = tiny_pipelines.vae(channels=8)
            other.save_pretrained(folder / "vae")
        case "no tokenizer":
            shutil.rmtree(folder / "tokenizer")
        case "other encoder":
            edit(index, text_encoder=["alt_diffusion", "RobertaSeriesModelWithTransformation"])
        case "no encoder":
            edit(index, text_encoder=[None, None])
        case "no index":
            index.unlink()
        case "truncated encoder":
            weights = folder / "text_encoder" / "model.safetensors"
            weights.write_bytes(weights.read_bytes()[:2000])
        case "other encoder shapes":
            edit(folder / "text_encoder" / "config.json", num_hidden_layers=3)
        case "guidance embedding":
            edit(unet, time_cond_proj_dim=16)
        case "image embedding":
            edit(unet, addition_embed_type="image")
        case "class":
            edit(unet, class_embed_type="projection", projection_class_embeddings_input_dim=4)
        case "code":
            edit(folder / "text_encoder" / "config.json", auto_map={"AutoModel": "evil.Evil"})
        case "quantized":
            edit(unet, quantization_config={"quant_method": "bitsandbytes"})
        case "kernel":
            edit(folder / "text_encoder" / "config.json", _attn_implementation="someone/kernel")
        case "spare weights":
            weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
            save_file(
                load_file(weights) | {"time_embedding.cond_proj.weight": torch.ones(2)}, weights
            )


DAMAGES = [
    ("no vae", "vae/config.json cannot be read"),
    (
        "other vae",
        "expected an autoencoder AutoencoderKL or VQModel in .*, got AutoencoderTiny",
    ),
    ("other latents", "expected an autoencoder with 4 latent channels.*got 8"),
    ("no tokenizer", "cannot load the tokenizer"),
    ("other encoder", "expected a text encoder .*got RobertaSeriesModelWithTransformation"),
    ("no encoder", "expected text encoders in"),
    ("no index", "expected text encoders in"),
    ("truncated encoder", "cannot load the network in .*text_encoder"),
    ("other encoder shapes", "no weights for .*layers.2"),
    ("guidance embedding", "conditioned by text alone, .* time_cond_proj_dim 16|no weights"),
    ("image embedding", "expected addition_embed_type text_time|cannot load"),
    ("class", "conditioned by text alone|no weights for class_embedding"),
    ("code", "expected a plain network in .*, it has auto_map"),
    ("quantized", "it has quantization_config"),
    ("kernel", "it has _attn_implementation"),
    ("spare weights", "its config has no place for the weights"),
]


def test_damaged_text_pipelines_are_refused_in_one_line(tmp_path, folders):
    for how, message in DAMAGES:
        folder = tmp_path / how
        shutil.copytree(folders["sd1"], folder)
        with torch.random.fork_rng(devices=[]):
            damage(folder, how)
        with refusal(message, how):
            load(folder)


def test_xl_without_its_second_encoder_is_refused(tmp_path, folders):
    folder = tmp_path / "xl"
    shutil.copytree(folders["xl"], folder)
    edit(folder / "model_index.json", text_encoder_2=[None, None])
    with refusal("expected text_encoder and text_encoder_2"):
        load(folder)


def test_sd3_without_a_clip_encoder_is_refused(tmp_path, folders):
    folder = tmp_path / "sd3"
    shutil.copytree(folders["sd3"], folder)
    edit(folder / "model_index.json", text_encoder_2=[None, None])
    with refusal("expected text_encoder_2 for an SD3 network"):
        load(folder)


def test_network_told_other_sizes_than_xl_is_refused(tmp_path, folders):
    folder = tmp_path / "refiner"
    shutil.copytree(folders["xl"], folder)
    with torch.random.fork_rng(devices=[]):
        tiny_pipelines.xl_unet(sizes=5).save_pretrained(folder / "unet")
    with refusal("expected a network told 6 sizes"):
        load(folder)


def test_no_code_in_a_folder_is_run(tmp_path, folders):
    folder, witness = tmp_path / "evil", tmp_path / "witness"
    shutil.copytree(folders["sd1"], folder)
    expected = load(folder).fingerprint
    code = f"from pathlib import Path\nPath({str(witness)!r}).write_text('ran')\n"
    for place in (folder, *(p for p in folder.iterdir() if p.is_dir())):
        for name in ("pipeline", "modeling", "tokenization", "__init__", "my_pipeline"):
            (place / f"{name}.py").write_text(code)
    edit(folder / "model_index.json", _class_name=["my_pipeline", "MyPipeline"])
    for config in folder.glob("tokenizer/*config.json"):
        edit(config, auto_map={"AutoTokenizer": ["tokenization.Evil", None]})
    assert load(folder).fingerprint == expected
    assert not witness.exists()


def test_absence_of_transformers_is_one_line(monkeypatch, folders):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "real.families.diffusers.text.find_spec",
        lambda name: None if name == "transformers" else find(name),
    )
    for kind in ("sd1", "xl", "sd3"):
        with refusal("needs the transformers library: pip install"):
            load(folders[kind])
    assert load(folders["dit"]).conditions == 1000


@pytest.fixture
def levels():
    """Sets the levels of both logs, and tells them; they are as before at the end."""
    before = logs.get_verbosity(), logs_of_text.get_verbosity()

    def levels(*wanted):
        for log, level in zip((logs, logs_of_text), wanted, strict=False):
            log.set_verbosity(level)
        return logs.get_verbosity(), logs_of_text.get_verbosity()

    yield levels
    levels(*before)


@pytest.fixture
def bars():
    """Whether transformers shows them; as before at the end."""
    turn = {True: logs_of_text.enable_progress_bar, False: logs_of_text.disable_progress_bar}
    before = logs_of_text.is_progress_bar_enabled()
    yield turn
    turn[before]()


def test_both_libraries_are_silent_while_they_load_and_then_as_they_were(levels, bars):
    for shown, turn in bars.items():
        turn()
        loud = levels(logs.ERROR, logs_of_text.INFO)
        with _quiet_transformers():
            assert levels() == (logs.CRITICAL, logs_of_text.CRITICAL)
            assert not logs_of_text.is_progress_bar_enabled()
        assert levels() == loud
        assert logs_of_text.is_progress_bar_enabled() == shown


class Halving:
    """An autoencoder that keeps every other pixel of either side, and notes how many images it is given."""

    config = FrozenDict(latent_channels=1, in_channels=1, block_out_channels=(8, 8))
    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self):
        self.seen = []

    def state_dict(self):
        return {}

    def encode(self, images):
        self.seen.append((len(images), images.min().item(), images.max().item()))
        return VQEncoderOutput(latents=images[..., ::2, ::2])

    def decode(self, latents):
        self.seen.append(len(latents))
        return DecoderOutput(sample=latents.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_an_autoencoder_sees_images_in_its_own_range_and_as_many_pixels_as_fit(monkeypatch):
    monkeypatch.setattr(vae, "PIXELS_AT_ONCE", 3 * 8 * 8 + 63)
    autoencoder, images = Halving(), torch.linspace(-1, 1, 7 * 64).reshape(7, 1, 8, 8)
    codec = vae.scaled_codec(autoencoder, (1, 4, 4), 0.25, 4.0, lowest=0.0)
    assert codec.shape == (1, 8, 8)
    latents = codec.encode(images)
    pixels = (images[..., ::2, ::2] + 1) / 2  # from 0 to 1, as this autoencoder has them
    assert torch.allclose(latents, (pixels - 0.25) * 4)
    counts, lowest, highest = zip(*autoencoder.seen, strict=True)
    assert (counts, min(lowest), max(highest)) == ((3, 3, 1), 0, 1)
    autoencoder.seen.clear()
    assert torch.allclose(codec.decode(latents)[..., ::2, ::2], images[..., ::2, ::2], atol=1e-6)
    assert autoencoder.seen == [3, 3, 1]
    others = [
        vae.scaled_codec(Halving(), (1, 4, 4), offset, scale, lowest=lowest).fingerprint
        for offset, scale, lowest in (
            (0.25, 4.0, 0.0),
            (0.5, 4.0, 0.0),
            (0.25, 2.0, 0.0),
            (0.25, 4.0, -1.0),
        )
    ]
    assert others[0] == codec.fingerprint and len(set(others)) == 4
    with refusal(
        "^checkpoint: expected an autoencoder with 2 latent channels, as the network takes, got 1$"
    ):
        vae.scaled_codec(Halving(), (2, 4, 4), 0.0, 1.0)
