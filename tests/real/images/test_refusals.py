"""What a refusal of images says: what was expected, what came, and where, in full."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from real.families.checkpoint import Codec
from real.images import zipped
from real.images.base import ImageSource
from real.images.groups import read_groups
from real.images.latents import require_codec
from real.images.opening import open_images
from theory.support.errors import InputError

SHAPE = (1, 2, 2)
GREY = np.zeros((3, 2, 2), np.uint8)
NUMBERS = np.zeros((3, *SHAPE), np.float32)
UNKNOWN = np.where(np.arange(3)[:, None, None, None] > 0, np.nan, NUMBERS)
WIDE = NUMBERS + np.array([-1.5, 0, 2])[:, None, None, None]
LATENTS = torch.zeros(3, *SHAPE)


def said_of(path, call):
    """The whole refusal, in which the path is FILE."""
    with pytest.raises(InputError) as caught:
        call()
    return str(caught.value).replace(str(path), "FILE")


def opened(path, shape=SHAPE):
    return said_of(path, lambda: list(open_images(str(path), "calibration", shape)))


ARRAYS = {
    "expected images in FILE, got a single uint8": {"images": np.uint8(5)},
    "expected images of some size in FILE, got (3, 0, 4)": {"images": np.zeros((3, 0, 4), np.uint8)},
    "expected uint8 (n, h, w[, 1 or 3]) or floating-point (n, c, h, w) images in FILE, got uint8 (3, 4)":
        {"images": np.zeros((3, 4), np.uint8)},
    "the network takes images of shape (1, 2, 2), got (1, 2, 5) from FILE (floating-point images are not "
    "resized)": {"images": np.zeros((3, 1, 2, 5), np.float32)},
    "expected numbers in FILE, got 2 images with NaN or infinity, the first at 1": {"images": UNKNOWN},
    "expected floating-point images in [-1, 1] in FILE, got -1.5 to 2": {"images": WIDE},
    "expected one whole number per image (3) as labels in FILE, got float64 (4,)":
        {"images": GREY, "labels": np.zeros(4)},
    "expected labels below 2^63 in FILE, got 9223372036854775809":
        {"images": GREY, "labels": np.array([0, 2**63 + 1, 1], np.uint64)},
    "expected one whole number per image (3) as labels in FILE, got torch.int64 (2,)":
        {"images": GREY, "labels": np.zeros(2, np.int64)},
    "expected labels from 0 in FILE, got -2": {"images": GREY, "labels": np.array([0, -2, 7])},
    "expected an array 'images' or 'arr_0' in FILE, got one, two": {"one": GREY, "two": GREY},
    "expected at least two images, got 1 from FILE": {"images": GREY[:1]},
}  # fmt: skip


@pytest.mark.parametrize("says", ARRAYS)
def test_arrays(says, tmp_path):
    path = tmp_path / "images.npz"
    np.savez(path, **ARRAYS[says])
    assert opened(path) == f"data: {says}"


TENSORS = {
    "expected an array 'latents' in FILE, got ids": ({"ids": torch.zeros(3)}, {}),
    "expected floating-point latents (n, 1, 2, 2) in FILE, got torch.float32 (3, 1, 2, 5)":
        ({"latents": torch.zeros(3, 1, 2, 5)}, {}),
    "expected ids int64 (3,) in FILE, got torch.float32": ({"latents": LATENTS, "ids": torch.zeros(3)}, {}),
    "expected a JSON list of 3 texts in FILE": ({"latents": LATENTS}, {"texts": json.dumps(["a", "b"])}),
    "expected labels from 0 in FILE, got -4":
        ({"latents": LATENTS, "labels": torch.tensor([0, -4, 2])}, {}),
}  # fmt: skip


@pytest.mark.parametrize("says", TENSORS)
def test_latents(says, tmp_path):
    path = tmp_path / "latents.safetensors"
    save_file(TENSORS[says][0], path, TENSORS[says][1])
    assert opened(path) == f"data: {says}"


def test_latents_of_another_autoencoder(tmp_path):
    path = tmp_path / "latents.safetensors"
    save_file({"latents": LATENTS}, path, {"codec": "theirs"})
    codec = Codec(SHAPE, torch.neg, torch.neg, "ours")
    assert said_of(path, lambda: require_codec(path, codec)) == (
        "data: FILE holds latents of another autoencoder than the network's: expected ours, got theirs"
    )


TABLES = {
    "metadata.csv": {
        "file_name,other\na.png,1\n":
            "expected columns file_name and text or label in FILE, got file_name, other",
        "file_name,label\na.png,1\n../b.png,2\n": "line 3 of FILE names no file below its folder",
        "file_name,label\na.png,one\n": "expected whole numbers as label in FILE",
    },
    "metadata.jsonl": {
        '{"file_name": "a.png", "text": "a"}\n{"file_name": "b.png"}\n':
            "expected an object with file_name, and text or label (a whole number), in line 2 of FILE: "
            "KeyError: 'label'",
        '{"file_name": "a.png", "label": 1}\n{"file_name": "../b.png", "label": 2}\n':
            "line 2 of FILE names a file outside of its folder",
        '{"file_name": "a.png", "text": "a"}\n{"file_name": "b.png", "label": 2}\n':
            "expected text in every line of FILE, or label in every line",
    },
    "dataset.json": {
        "{}": 'expected {"labels": [[name, number], ...]} or null in FILE',
        '{"labels": [["b.png", 3]]}': "FILE has no label for a.png",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"), [(name, content) for name, table in TABLES.items() for content in table]
)
def test_tables_of_a_folder(name, content, tmp_path):
    for picture in ("a.png", "b.png"):
        Image.fromarray(GREY[0]).save(tmp_path / picture)
    path = tmp_path / name
    path.write_text(content)
    said = said_of(path, lambda: open_images(str(tmp_path), "calibration", SHAPE))
    assert said == f"data: {TABLES[name][content]}"


def zip_file(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.png", content)
    return path


def test_members_of_a_zip_file(tmp_path, monkeypatch):
    stream = io.BytesIO()
    Image.fromarray(GREY[0]).save(stream, format="png")
    whole = stream.getvalue()
    path = zip_file(tmp_path / "images.zip", a=whole, b=whole + bytes(90))
    monkeypatch.setattr(zipped, "LARGEST", {True: len(whole), False: 0})
    assert opened(path) == (
        f"data: FILE/b.png would unpack to {len(whole) + 90:,} bytes: expected at most {len(whole):,}"
    )
    path = zip_file(tmp_path / "broken.zip", a=whole, b=b"nothing", c=whole)
    monkeypatch.undo()
    assert opened(path).startswith("data: FILE/b.png cannot be read as an image")
    content = bytearray(path.read_bytes())
    content[content.index(b"nothing")] ^= 1  # its checksum is then another
    path.write_bytes(content)
    source = open_images(str(path), "calibration", SHAPE)
    assert said_of(path, lambda: source.load([1, 2])).startswith(
        "data: FILE is broken at or after b.png"
    )


def test_networks_that_take_other_images(tmp_path):
    path = tmp_path / "images.npz"
    np.savez(path, images=GREY)
    assert opened("digits", (3, 8, 8)) == (
        "data: the network takes images of shape (3, 8, 8), got (1, 8, 8) from FILE"
    )
    assert opened(path, (4, 2, 2)) == (
        "data: pictures are (1, height, width) or (3, height, width), the network takes (4, 2, 2)"
    )


def test_what_belongs_together(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text("video,patient\nv,p\nv,\n")
    source = ImageSource.of("some", torch.zeros(3, *SHAPE))
    assert said_of(path, lambda: source.grouped(["a", "b"])) == (
        "groups: expected one for each of 3 images of some, got 2"
    )
    assert said_of(path, lambda: read_groups(f"{path}:patient")) == (
        "groups: expected a value for each image in FILE, got none for 2"
    )
    assert said_of(path, lambda: read_groups(f"{path}:nobody")) == (
        "groups: expected one of the columns video, patient, got 'nobody'"
    )
