"""Small files that would take any time or memory: each is one line within 2 s and 500 MB."""

import json
import os
import pickle
import shutil
import struct
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file
from transformers import T5TokenizerFast

from real.checkpoints import load
from real.compress import repaired_folder
from real.files import pickle_structure, unfolding
from real.files.checkpoint_files import read_checkpoint_file
from real.images.latents import latents_source
from tests.limits import within_limits
from tests.real import tiny_pipelines
from tests.real.state_files import ddpm_state
from tests.real.stored_networks import Persistent, install_persistence
from tests.refusals import refusal
from theory.calibration.result import Calibration
from theory.sampling.fitted import FittedSolver


def doubled(value, times=60):
    """A list of twice a list of twice ... a value."""
    for _ in range(times):
        value = [value, value]
    return value


def doubled_mapping(times=60):
    value: dict = {}
    for _ in range(times):
        value = {"a": value, "b": value}
    return value


BOMBS = {
    "lists": doubled(0),
    "mappings": doubled_mapping(),
    "tuples": tuple(doubled(()) for _ in range(2)),
    "texts": [["x" * 100_000] * 1000] * 1000,
    "bytes": [[b"x" * 100_000] * 1000] * 1000,
    "numbers": [[2**2000] * 1000] * 1000,
}
TOO_OFTEN = "the same values too often"


@pytest.mark.parametrize("name", BOMBS)
def test_values_that_unfold_are_refused_wherever_they_are(tmp_path, monkeypatch, name):
    install_persistence(monkeypatch)
    bomb, path = BOMBS[name], tmp_path / "x.pt"
    for form in (True, False):
        torch.save(
            {"state_dict": ddpm_state(), "hyper": bomb}, path, _use_new_zipfile_serialization=form
        )
        with refusal("broken, or holds more than weights", (name, form)), within_limits(name):
            load(path)
    for state in (
        {"_init_kwargs": {"num_blocks": bomb}}, {"_init_args": (bomb,)}, {"unused": bomb},
        {"_parameters": {"w": bomb}}, {"_modules": {"a": bomb}},
    ):  # fmt: skip
        path.write_bytes(pickle.dumps({"ema": Persistent("EDMPrecond", state)}, 4))
        with refusal("checkpoint", (name, state.keys())), within_limits(name):
            load(path)


def test_without_the_check_a_bomb_would_be_printed(tmp_path, monkeypatch):
    install_persistence(monkeypatch)
    monkeypatch.setattr(pickle_structure, "require_small", lambda *_: None)
    path = tmp_path / "x.pkl"
    resolution = {"_init_kwargs": {"num_blocks": doubled(0, 24)}}
    path.write_bytes(pickle.dumps({"ema": Persistent("EDMPrecond", resolution)}, 4))
    with pytest.raises(AssertionError, match="took"), within_limits("bomb", 0.2):
        load(path)


def test_what_networks_share_is_no_bomb():
    shared = ["x" * 40_000, list(range(50))]
    parts = pickle_structure._parts
    unfolding.require_small({"layers": [{"source": shared[0], "sizes": shared}] * 500}, parts)
    unfolding.require_small([bytes(10**7), [1, 2], "x"], parts)
    for large in (bytes(10**7), "x" * 10**7, 1 << 10**7):
        unfolding.require_small([[large] * 2], parts)
        with pytest.raises(ValueError, match="too often"):
            unfolding.require_small([[large] * 100], parts)
    nested: list = []
    for _ in range(99):
        nested = [nested]
    unfolding.require_small(nested, parts)
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        unfolding.require_small([nested], parts)
    circle: list = []
    circle.append([circle])
    with pytest.raises(ValueError, match="contains itself"):
        unfolding.require_small(circle, parts)


OPERATIONS = """
from real.files import pickle_structure
from tests.limits import within_limits
for operation, count in ((b"}", 1), (b"K\\x01", 1), (b"]\\x94", 2), (b"\\x8f", 1)):
    for times in (1, 5):
        most = (pickle_structure.MAX_OPERATIONS - 10) // count
        with within_limits(operation):
            try:
                pickle_structure.recorded_from(b"\\x80\\x04](" + operation * times * most + b"e.", set())
            except ValueError as error:
                print(error)
"""


def test_as_many_operations_as_may_be_stay_within_limits():
    """In a process whose functions are not checked at each call, as they are here."""
    ran = subprocess.run(
        [sys.executable, "-c", OPERATIONS], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"more than {pickle_structure.MAX_OPERATIONS:,} operations\n" * 4


def empty_tensors(path, count):
    """A file of that many tensors without numbers."""
    entry = '"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    header = "{" + ",".join(entry % k for k in range(count)) + "}"
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode())
    return path


@pytest.fixture(scope="module")
def million(tmp_path_factory):
    return empty_tensors(tmp_path_factory.mktemp("million") / "x.safetensors", 1_500_000)


READERS = {
    "checkpoint": read_checkpoint_file,
    "latents": lambda path: latents_source(path, (1, 8, 8)),
    "calibration": Calibration.load,
    "fitted solver": FittedSolver.load,
    "repaired folder": repaired_folder._encoded,
}


@pytest.mark.parametrize("reader", READERS)
def test_a_million_empty_tensors(tmp_path, million, reader):
    long = tmp_path / "long.safetensors"
    long.write_bytes(struct.pack("<Q", 2**30) + b"{")
    os.truncate(long, 2**30 + 8)
    for path in (million, long, empty_tensors(tmp_path / "x.safetensors", 25_000)):
        with refusal("tensors in|far more than a network has"), within_limits(reader):
            READERS[reader](path)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("pipelines")
    return {kind: tiny_pipelines.save(kind, place / kind) for kind in ("sd1", "sd3-t5")}


def edited(path, *keys, value):
    """Set what lies at the end of the keys in a JSON file."""
    content = json.loads(path.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key] if isinstance(inner, list) else inner.setdefault(key, {})
    inner[keys[-1]] = value
    path.write_text(json.dumps(content))


NESTED = [
    (("text_config", "attn_implementation"), "kernels-community/evil", "expected a plain network"),
    (("text_config", "auto_map"), {"AutoModel": "evil.Evil"}, "expected a plain network"),
    (("vision_config", "x", "_attn_implementation"), "a/b", "expected a plain network"),
    (("_attn_implementation_internal",), "a/b", "expected a plain network"),
    (("a", "b", "quantization_config"), {}, "expected a plain network"),
    (("experts_implementation",), "a/b", "expected a plain network"),
    (("text_config", "num_hidden_layers"), 10**6, "expected num_hidden_layers of at most"),
    (("text_config", "vocab_size"), 10**12, "expected vocab_size of at most"),
    (("per_layer_config", "num_hidden_layers"), 10**6, "expected num_hidden_layers of at most"),
    (("num_labels",), 10**7, "expected num_labels of at most"),
]


@pytest.mark.parametrize(("keys", "value", "message"), NESTED)
def test_nested_configurations_are_looked_at(tmp_path, folders, keys, value, message):
    folder = tmp_path / "folder"
    shutil.copytree(folders["sd1"], folder)
    edited(folder / "text_encoder" / "config.json", *keys, value=value)
    with refusal(message, keys), within_limits(keys):
        load(folder)


TOKENS = [
    (("model", "cache_capacity"), 10**18), (("model", "unk_id"), 2**32), (("model", "unk_id"), -1),
    (("added_tokens", 0, "id"), 2**31), (("padding",), {"strategy": {"Fixed": 10**9}}),
    (("truncation",), {"max_length": 2**40, "stride": 0}), (("x", "4294967296"), "token"),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "value"), TOKENS)
def test_numbers_that_no_tokenizer_has_are_refused(tmp_path, folders, keys, value):
    folder = tmp_path / "folder"
    shutil.copytree(folders["sd3-t5"], folder)
    edited(folder / "tokenizer_3" / "tokenizer.json", *keys, value=value)
    with (
        refusal("in .*tokenizer_3/tokenizer.json, got another number", keys),
        within_limits(keys, 8),
    ):
        load(folder)


SETTINGS = [
    ("extra_ids", 10**7),
    ("model_max_length", 10**12),
    ("added_tokens_decoder", {"-5": {}}),
]


@pytest.mark.parametrize(("key", "value"), SETTINGS)
def test_settings_that_no_tokenizer_has_are_refused(tmp_path, folders, key, value):
    folder = tmp_path / "folder"
    shutil.copytree(folders["sd3-t5"], folder)
    edited(folder / "tokenizer_3" / "tokenizer_config.json", key, value=value)
    with refusal("tokenizer_config.json, got another number", key), within_limits(key, 8):
        load(folder)


PANIC = {"type": "Precompiled", "precompiled_charsmap": "AAAAAP////8="}


def test_a_tokenizer_that_panics_is_one_line(tmp_path, folders, capfd):
    folder = tmp_path / "folder"
    shutil.copytree(folders["sd3-t5"], folder)
    edited(folder / "tokenizer_3" / "tokenizer.json", "normalizer", value=PANIC)
    with refusal("cannot load the tokenizer in .*PanicException"):
        load(folder)
    assert "panicked" not in capfd.readouterr().err


def test_a_tokenizer_that_panics_when_it_is_used_is_one_line(folders, monkeypatch):
    class Panic(BaseException):
        """As libraries in Rust raise it."""

    def panics(self, text):
        raise Panic(text)

    monkeypatch.setattr(T5TokenizerFast, "__call__", panics)
    with refusal("cannot load the tokenizer in .*Panic: a photo"):
        load(folders["sd3-t5"])


def test_a_network_that_raises_when_it_is_called_is_one_line(tmp_path, folders):
    folder = tmp_path / "folder"
    shutil.copytree(folders["sd1"], folder)
    edited(folder / "tokenizer" / "tokenizer_config.json", "model_max_length", value=50)
    checkpoint = load(folder)  # its encoder has 8 positions
    x_t = torch.zeros(1, *checkpoint.shape)
    with refusal("checkpoint: .*folder fails, called with"):
        checkpoint.predict(x_t, torch.tensor([5]), ["a photo of a cat"])


def test_a_file_of_weights_that_is_no_file_of_weights(tmp_path):
    for name, content in (("a", b""), ("b", b"PK\x03\x04"), ("c", b"\x80\x02"), ("d", b"x" * 100)):
        (tmp_path / name).write_bytes(content)
        with refusal("^checkpoint: "):
            load(tmp_path / name)
    save_file({"a": torch.zeros(1)}, tmp_path / "e")
    with refusal("of none of the families"):
        load(tmp_path / "e")
