"""Published networks by name: the list, and what is fetched is what was published."""

import dataclasses
import hashlib
import re
import shutil
from fnmatch import fnmatch
from urllib.error import URLError

import numpy as np
import pytest
import torch

from real import checkpoints
from real.checkpoints import EMBEDDED, hub, load, presets, registry
from real.checkpoints.base import Source
from real.cli import main
from tests.real.states import SMALL_GUIDED, SMALL_SETTINGS, guided_state, write
from theory.errors import InputError

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
    ]
    assert all("by hand" in line for line in lines if "drive.google" in line)


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
    monkeypatch.setattr(registry, "download", lambda name: asked.append(name) or pipeline)
    assert load("ddpm-cifar10").fingerprint == load(pipeline).fingerprint
    assert asked == ["google/ddpm-cifar10-32"]


def test_what_is_fetched_by_hand_says_so():
    with pytest.raises(InputError, match=r"ddim-celeba is fetched by hand: save it from https://"):
        load("ddim-celeba")


def test_a_folder_called_like_a_name_is_meant_by_its_path(tmp_path, monkeypatch, pipeline):
    shutil.copytree(pipeline, tmp_path / "ddpm-cifar10")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "download", lambda name: pytest.fail("was fetched"))
    assert load("./ddpm-cifar10").shape == (3, 16, 16)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A Hub that hands out the files that the patterns allow."""
    files, calls = ["unet/diffusion_pytorch_model.bin"], []

    def handed(reference, allow_patterns, ignore_patterns):
        calls.append(allow_patterns)
        for name in files:
            allowed = any(fnmatch(name, pattern) for pattern in allow_patterns)
            if allowed and not any(fnmatch(name, pattern) for pattern in ignore_patterns):
                (tmp_path / "repo" / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / "repo" / name).touch()
        return str(tmp_path / "repo")

    monkeypatch.setattr(hub, "snapshot_download", handed)
    return files


@pytest.mark.parametrize(
    ("there", "fetched"),
    [
        (["config.json", "diffusion_pytorch_model.bin"], "all"),
        (["config.json", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"],
         ["config.json", "diffusion_pytorch_model.safetensors"]),
        (["model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors",
          "tokenizer/merges.txt", "text_encoder/model.safetensors"], "all"),
        (["model_index.json", "v1-5-pruned.safetensors", "v1-5-pruned.ckpt", "run.py",
          "unet/diffusion_pytorch_model.fp16.safetensors", "safety_checker/model.safetensors",
          "unet/diffusion_pytorch_model.safetensors"],
         ["model_index.json", "unet/diffusion_pytorch_model.safetensors"]),
    ],
)  # fmt: skip
def test_of_a_repository_no_more_is_fetched_than_is_used(repository, there, fetched):
    repository[:] = there
    folder = hub.download("someone/something")
    got = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert got == sorted(there if fetched == "all" else fetched)


def test_families_have_names_of_their_own():
    names = [family.name for family in checkpoints.FAMILIES]
    assert len(set(names)) == len(names)
