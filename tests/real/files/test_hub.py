"""Of a repository of the Hub no more is fetched than is loaded; what is not loaded is not fetched."""

import json
import shutil
from fnmatch import fnmatch

import pytest
import torch
from diffusers import StableDiffusionPipeline

from real.checkpoints import load
from real.families.diffusers import pipelines
from real.families.diffusers import vae as diffusers_vae
from real.files import hub
from tests.real import tiny_pipelines
from tests.refusals import refusal
from theory.support.errors import InputError


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A Hub that hands out the files of ``tmp_path/origin`` that the patterns allow, and says which
    it was asked for."""
    asked = []

    def handed(reference, allow_patterns, ignore_patterns):
        origin, copy = tmp_path / "origin", tmp_path / "repo"
        for path in sorted(p for p in origin.rglob("*") if p.is_file()):
            name = str(path.relative_to(origin))
            allowed = any(fnmatch(name, pattern) for pattern in allow_patterns)
            if allowed and not any(fnmatch(name, pattern) for pattern in ignore_patterns):
                asked.append(name)
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy / name)
        return str(copy)

    monkeypatch.setattr(hub, "snapshot_download", handed)
    return asked


UNET = {"unet/config.json": {"_class_name": "UNet2DModel"}}
SCHEDULER = {"scheduler/scheduler_config.json": {"beta_schedule": "linear"}}
LATENT = {"vae/config.json": {"_class_name": "AutoencoderKL"}}
TEXT = {
    "model_index.json": {"text_encoder": ["transformers", "CLIPTextModel"],
                         "text_encoder_2": [None, None], "safety_checker": ["x", "y"]},
    "unet/config.json": {"_class_name": "UNet2DConditionModel"},
    "text_encoder/config.json": {},
}  # fmt: skip
BARE = {
    "config.json": {"_class_name": "UNet2DModel"},
    "scheduler_config.json": {"beta_schedule": "linear"},
}
WHOLE = "diffusion_pytorch_model"


def put(origin, configuration, weights):
    for name, content in configuration.items():
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_text(json.dumps(content))
    for name in weights:
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).touch()


@pytest.mark.parametrize(
    ("configuration", "used", "unused"),
    [
        (BARE, [f"{WHOLE}.bin"], []),
        (BARE, [f"{WHOLE}.safetensors"], [f"{WHOLE}.bin", "other.safetensors", "run.py"]),
        (
            TEXT | SCHEDULER | LATENT,
            [f"unet/{WHOLE}.safetensors", f"vae/{WHOLE}.safetensors",
             "text_encoder/model.safetensors", "tokenizer/merges.txt"],
            ["v1-5-pruned.safetensors", "v1-5-pruned.ckpt", f"unet/{WHOLE}.fp16.safetensors",
             f"unet/{WHOLE}.fp16-00001-of-00002.safetensors", f"unet/{WHOLE}.non_ema.safetensors",
             f"unet/{WHOLE}.non_ema-00001-of-00002.safetensors",
             f"vae/{WHOLE}.bf16-00001-of-00002.safetensors", f"vae/{WHOLE}.bin",
             "text_encoder/pytorch_model.bin", "text_encoder_2/model.safetensors",
             "safety_checker/model.safetensors", "image_encoder/model.safetensors",
             f"transformer/{WHOLE}.safetensors", "text_encoder/flax_model.msgpack"],
        ),
        (
            TEXT | SCHEDULER | LATENT,
            [f"unet/{WHOLE}-00001-of-00002.safetensors", f"unet/{WHOLE}-00002-of-00002.safetensors",
             f"vae/{WHOLE}.fp16.safetensors", "text_encoder/pytorch_model.bin"],
            [f"unet/{WHOLE}.bin", f"vae/{WHOLE}.bf16.safetensors",
             "text_encoder/model.fp16.safetensors", "text_encoder/pytorch_model.fp16.bin"],
        ),
        (
            UNET | SCHEDULER,
            [f"unet/{WHOLE}.fp16-00001-of-00002.safetensors",
             f"unet/{WHOLE}.safetensors.index.fp16.json"],
            [f"unet/{WHOLE}.non_ema.safetensors", f"unet/{WHOLE}.fp16.bin"],
        ),
    ],
)  # fmt: skip
def test_of_a_repository_no_more_is_fetched_than_is_used(
    tmp_path, repository, configuration, used, unused
):
    put(tmp_path / "origin", configuration, [*used, *unused])
    folder = hub.download("someone/something", pipelines.needed_parts)
    got = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert got == sorted([*configuration, *used])


FLUX = {
    "model_index.json": {"_class_name": "FluxPipeline"},
    "transformer/config.json": {"_class_name": "FluxTransformer2DModel"},
}


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        (FLUX | SCHEDULER, "expected a UNet2DModel, .* got FluxTransformer2DModel"),
        ({"model_index.json": {}}, "expected unet/config.json, .* found neither"),
        (UNET, "expected scheduler/scheduler_config.json"),
        (
            UNET | {"scheduler/scheduler_config.json": {"_class_name": "EDMEulerScheduler"}},
            "expected a scheduler with betas, got EDMEulerScheduler",
        ),
        (
            UNET | SCHEDULER | {"vae/config.json": {"_class_name": "AutoencoderTiny"}},
            "expected an autoencoder AutoencoderKL or VQModel",
        ),
        (
            TEXT | SCHEDULER | LATENT
            | {"model_index.json": {"text_encoder": ["x", "ChatGLMModel"]}},
            "expected a text encoder CLIPTextModel, .* got ChatGLMModel",
        ),
        (
            UNET | SCHEDULER
            | {"unet/config.json": {"_class_name": "UNet2DModel", "quantization_config": {"x": 1}}},
            "expected a plain network in .*, it has quantization_config",
        ),
    ],
)  # fmt: skip
def test_what_is_not_loaded_is_refused_before_its_weights_are_fetched(
    tmp_path, repository, configuration, message
):
    weights = [f"{part}/{WHOLE}.safetensors" for part in ("unet", "vae", "transformer")]
    put(tmp_path / "origin", configuration, [*weights, "text_encoder/model.safetensors"])
    with refusal(message):
        load("someone/something")
    assert sorted(repository) == sorted(configuration)


def test_a_repository_without_weights_is_refused_in_one_line(tmp_path, repository):
    put(tmp_path / "origin", UNET | SCHEDULER, [f"unet/{WHOLE}.onnx", f"unet/{WHOLE}.msgpack"])
    with pytest.raises(InputError, match="expected weights in unet of someone/something"):
        load("someone/something")


def test_a_repository_of_half_precision_only_loads(tmp_path, repository):
    whole = tiny_pipelines.save("sd1", tmp_path / "whole")
    pipe = StableDiffusionPipeline.from_pretrained(whole).to(torch.float16)
    pipe.save_pretrained(tmp_path / "origin", variant="fp16")
    assert {path.name for path in (tmp_path / "origin").rglob("*.safetensors")} == {
        f"{WHOLE}.fp16.safetensors", "model.fp16.safetensors"
    }  # fmt: skip
    checkpoint, expected = load("someone/something"), load(whole)
    x_t = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    t, texts = torch.tensor([3, 700]), ["a cat", ""]
    got, wanted = (c.predict(x_t, t, texts) for c in (checkpoint, expected))
    assert all(p.dtype == torch.float32 for p in checkpoint.modules["unet"].parameters())
    assert torch.allclose(got, wanted, atol=2e-2)
    assert not torch.equal(got, wanted)
    halves = next(path for path in (tmp_path / "repo" / "unet").glob("*.safetensors"))
    halves.unlink()
    with pytest.raises(InputError, match="cannot load the network in"):
        load(tmp_path / "repo")


def test_an_autoencoder_is_fetched_alone(tmp_path, repository):
    put(tmp_path / "origin", {"config.json": {"_class_name": "AutoencoderKL"}},
        [f"{WHOLE}.safetensors", f"{WHOLE}.bin", "other.safetensors"])  # fmt: skip
    folder = hub.download("someone/vae", diffusers_vae.bare_autoencoder)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", f"{WHOLE}.safetensors"]
