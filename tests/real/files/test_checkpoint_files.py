"""Reading checkpoint files: every kind by its first bytes, and nothing that is not weights."""

import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from real.checkpoints import load
from real.files.checkpoint_files import read_checkpoint_file
from tests.real.state_files import SMALL_DDPM, WRITERS, ddpm_state, write
from tests.refusals import refusal

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(1.0)}


class Malice:
    """Writes a file where it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return Path.write_text, (self.witness, "ran")


def refused(path: Path, match: str) -> None:
    with refusal(match):
        load(path)


@pytest.mark.parametrize("form", WRITERS)
def test_the_kind_of_a_file_is_told_from_its_content(tmp_path, form):
    for name in ("weights", "weights.pkl", "weights.safetensors", "weights.png"):
        got = read_checkpoint_file(write(tmp_path / name, WEIGHTS, form=form))
        assert got.keys() == WEIGHTS.keys(), name
        assert all(torch.equal(got[key], WEIGHTS[key]) for key in got), name


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_malicious_torch_file_runs_nothing(tmp_path, form):
    witness = tmp_path / "witness"
    state = {**ddpm_state(), "conv_in.bias": Malice(witness)}
    path = write(tmp_path / "evil.ckpt", state, {"config": SMALL_DDPM}, form)
    refused(path, r"asks for '__builtin__.getattr'.*and no code of it is run")
    assert not witness.exists()
    torch.load(path, weights_only=False)
    assert witness.exists()


def test_a_malicious_plain_pickle_runs_nothing(tmp_path):
    path, witness = tmp_path / "evil.pkl", tmp_path / "witness"
    path.write_bytes(pickle.dumps({"ema": Malice(witness)}))
    refused(path, "checkpoint")
    assert not witness.exists()
    pickle.loads(path.read_bytes())
    assert witness.exists()


@pytest.mark.parametrize("form", WRITERS)
def test_a_truncated_file_is_refused(tmp_path, form):
    path = write(tmp_path / "cut", ddpm_state(), {"config": SMALL_DDPM}, form)
    load(path)
    content = path.read_bytes()
    for kept in (0.2, 0.6, 0.999):
        path.write_bytes(content[: int(kept * len(content))])
        with refusal("truncated|broken", kept):
            load(path)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "model.ckpt"
    for content in (b"", b"x", b"hello, this is none at all", b"\x89PNG\r\n\x1a\n" + bytes(64)):
        path.write_bytes(content)
        with refusal("is no checkpoint", content):
            load(path)


def test_an_archive_of_something_else_is_refused(tmp_path):
    path = tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "hello")
    refused(path, "truncated, broken, or holds more than weights")


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10_000_000))
    monkeypatch.setattr(torch, "load", lambda *a, **k: pytest.fail("was unpacked"))
    refused(path, "says that it unpacks to 10,000,000")


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_weights_that_say_to_be_larger_than_the_file_are_refused(tmp_path, form):
    lies = {name: torch.zeros(1).expand(tensor.shape) for name, tensor in ddpm_state().items()}
    path = write(tmp_path / "lies", lies, {"config": SMALL_DDPM}, form)
    refused(path, "says that it holds")


def test_weights_in_lists_in_dictionaries_count_and_circles_are_refused(tmp_path):
    within: list = [{"a": [torch.zeros(1).expand(10**9)]}]
    refused(write(tmp_path / "within", within), "says that it holds 4,000,000,000")
    within.append(within)
    refused(write(tmp_path / "circle", within), "contains itself")


def test_a_broken_json_beside_a_file_is_refused(tmp_path):
    path = write(tmp_path / "small.ckpt", ddpm_state())
    for text, match in (("{", "cannot be read as JSON"), ("[1]", "expected a JSON object")):
        path.with_suffix(".json").write_text(text)
        refused(path, match)


def test_what_no_family_knows_is_described(tmp_path):
    refused(write(tmp_path / "other.pt", WEIGHTS), "2 entries: a.weight, b")
    refused(write(tmp_path / "number.pt", 3), "it holds something of type int")
