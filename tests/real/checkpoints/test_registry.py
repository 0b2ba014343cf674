"""Published networks by name: the list, and what is fetched is what was published."""

import dataclasses
import hashlib
import json
import re
import shutil
from fnmatch import fnmatch
from urllib.error import URLError

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from real import checkpoints
from real.checkpoints import EMBEDDED, load, registry
from real.cli import main
from real.families import presets
from real.families.checkpoint import Source
from real.families.diffusers import pipelines as diffusers_pipelines
from real.families.diffusers import vae as diffusers_vae
from real.families.score_sde import loader as score_sde
from real.files import hub
from tests.real import tiny_pipelines
from tests.real.states import SMALL_GUIDED, SMALL_SETTINGS, guided_state, write
from theory.support.errors import InputError

ADDRESS = "https://example.org/network.pt"


def test_the_list_shows_every_network_and_what_was_tried(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(registry.REGISTRY)
    for known in registry.REGISTRY:
        line = next(line for line in lines if line.startswith(f"{known.name} "))
        for part in (known.family, known.licence, known.address, known.tried, known.target):
            assert part in line
    assert [line.split()[0] for line in lines if "full weights" in line] == [
        "digits",
        "fashion",
    ]
    assert all("by hand" in line for line in lines if "drive.google" in line)
    assert [line.split()[0] for line in lines if "a mirror" in line] == ["stable-diffusion-2.1"]


def test_entries_are_sound():
    names = [known.name for known in registry.REGISTRY]
    assert len(set(names)) == len(names)
    assert set(EMBEDDED) <= set(names)
    for known in registry.REGISTRY:
        if known.address == "shipped":
            assert known.name in EMBEDDED
        elif not known.address.startswith("https://"):
            assert re.fullmatch(r"[\w.-]+/[\w.-]+", known.address)
        if known.digest:
            assert re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", known.digest)


def test_the_shipped_networks_entry_is_what_loads(digits_checkpoint):
    known = registry.NAMED["digits"]
    assert digits_checkpoint.shape == known.shape
    assert digits_checkpoint.target.name == known.target
    source = Source("digits", EMBEDDED["digits"])
    found = next(family for family in checkpoints.FAMILIES if family.recognizes(source))
    assert found.name == known.family


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A file as if it were at ADDRESS; the list of what was downloaded."""
    origin, downloads = write(tmp_path / "origin.pt", guided_state()), []

    def copied(address, path):
        downloads.append(address)
        shutil.copy(origin, path)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", copied)
    return origin, downloads


def digest_of(path, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, path.read_bytes()).hexdigest()}"


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_file_is_fetched_once_and_verified_each_time(published, algorithm):
    origin, downloads = published
    digest = digest_of(origin, algorithm)
    path = hub.fetch("small", ADDRESS, digest)
    assert hub.fetch("small", ADDRESS, digest) == path
    assert path.read_bytes() == origin.read_bytes()
    assert downloads == [ADDRESS]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=f"expected {algorithm} .*delete it to fetch it again"):
        hub.fetch("small", ADDRESS, digest)


def test_a_file_of_another_digest_is_refused_and_not_kept(tmp_path, published):
    with pytest.raises(InputError, match=f"expected sha256 {'0' * 64} of {ADDRESS}, got") as caught:
        hub.fetch("small", ADDRESS, f"sha256:{'0' * 64}")
    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "hub").rglob("*") if path.is_file()]


def test_no_connection_is_one_line_and_leaves_nothing(tmp_path, published, monkeypatch):
    def unreachable(address, path):
        raise URLError("Temporary failure in name resolution")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(InputError, match="cannot be reached") as caught:
        hub.fetch("small", ADDRESS, None)
    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "hub").rglob("*") if path.is_file()]


def _known(**changes):
    known = registry.Known("small", "guided", (3, 16, 16), "linear", "noise", "MIT", ADDRESS)
    return dataclasses.replace(known, **changes)


def test_a_name_is_enough_to_calibrate(tmp_path, published, monkeypatch):
    origin, downloads = published
    known = _known(digest=digest_of(origin))
    monkeypatch.setitem(registry.NAMED, "small", known)
    with pytest.raises(InputError, match="image_size"):
        load("small")
    preset = presets.Preset(SMALL_GUIDED, SMALL_SETTINGS)
    monkeypatch.setattr(presets, "PRESETS", (preset,))
    data, out = tmp_path / "images.npz", tmp_path / "c.safetensors"
    np.savez(data, images=np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8))
    arguments = ["calibrate", "small", "--data", str(data), "--at", "10,500", "--out", str(out)]
    main([*arguments, "--family", "guided", "--quiet"])
    assert out.is_file()
    assert downloads == [ADDRESS]
    with pytest.raises(InputError, match="one of the families"):
        main([*arguments, "--family", "magic", "--quiet"])


def test_a_hub_address_is_asked_of_the_hub(tmp_path, monkeypatch, pipeline):
    asked = []
    monkeypatch.setattr(registry, "download", lambda name, parts: asked.append(name) or pipeline)
    assert load("ddpm-cifar10").fingerprint == load(pipeline).fingerprint
    assert asked == ["google/ddpm-cifar10-32"]


def test_what_is_fetched_by_hand_says_so():
    with pytest.raises(
        InputError,
        match=r"ddim-celeba is fetched by hand: save it from https://\S+, then name the file$",
    ):
        load("ddim-celeba")


SCHEDULES = {"VE": "vesde", "VE, 1000": "vesde", "VP linear": "vpsde", "linear, 1000": "vpsde",
             "sub-VP": "subvpsde"}  # fmt: skip


BY_HAND = [known for known in registry.REGISTRY if known.family == "score_sde"]


@pytest.mark.parametrize("known", BY_HAND, ids=lambda known: known.name)
def test_what_its_weights_do_not_tell_is_given_with_it(known):
    """By name, every published network is one preset, and no two are the same one."""
    with pytest.raises(InputError, match=f"{known.name} is fetched by hand") as caught:
        load(known.name)
    message, name = str(caught.value), known.name
    told = re.search(rf"as {name}\.pth, write (\{{.*\}}) as {name}\.json beside it", message)
    if known.target == "score":
        assert "write" not in message
        return
    settings = score_sde.PRESETS[json.loads(told[1])["config"]]
    assert settings.sde == SCHEDULES[known.schedule]
    assert settings.continuous == (known.schedule != "linear, 1000")
    assert settings.network["image_size"] == known.shape[1]


def test_no_two_names_have_the_same_preset_or_address():
    named = [known.beside for known in registry.REGISTRY if known.beside]
    addresses = [known.address for known in registry.REGISTRY if known.address != "shipped"]
    assert len(set(named)) == len(named) == 8
    assert len(set(addresses)) == len(addresses)


def test_a_folder_called_like_a_name_is_meant_by_its_path(tmp_path, monkeypatch, pipeline):
    shutil.copytree(pipeline, tmp_path / "ddpm-cifar10")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "download", lambda name, parts: pytest.fail("was fetched"))
    assert load("./ddpm-cifar10").shape == (3, 16, 16)


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
    folder = hub.download("someone/something", diffusers_pipelines.needed_parts)
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
    with pytest.raises(InputError, match=message) as caught:
        load("someone/something")
    assert "\n" not in str(caught.value)
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


def test_families_have_names_of_their_own():
    names = [family.name for family in checkpoints.FAMILIES]
    assert len(set(names)) == len(names)
