"""Image sources: what each gives, with which labels, and what is refused."""

import io
import itertools
import json
import sys
import threading
import types
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from real.families.checkpoint import Codec
from real.images import latents, npz
from real.images.base import ImageSource, whole_labels
from real.images.digits import digits, digits_source
from real.images.edm_labels import labels_of
from real.images.latents import latents_of, require_codec, save_latents
from real.images.opening import open_images
from real.images.pixels import read_picture
from theory.forward.fingerprints import image_ids
from theory.support.errors import InputError, NonFiniteError

ROLES = ("training", "calibration", "held-out")


def test_digits_split_is_whole_and_disjoint():
    ids = {role: set(image_ids(digits(role)).tolist()) for role in ROLES}
    assert sum(len(part) for part in ids.values()) == 1797
    assert all(not ids[a] & ids[b] for a, b in itertools.combinations(ROLES, 2))


def test_digits_lie_in_range():
    images = digits("training")
    assert images.shape == (1000, 1, 8, 8)
    assert images.min() == -1
    assert images.max() == 1


def test_npz_and_folder_give_the_same_images(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 12, 3), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=pixels)
    folder = tmp_path / "folder"
    folder.mkdir()
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{i}.png")
    shape = (3, 16, 12)
    from_npz = open_images(str(tmp_path / "images.npz"), "held-out", shape, batch_size=2)
    from_folder = open_images(str(folder), "held-out", shape, batch_size=3)
    assert torch.equal(torch.cat(list(from_npz)), torch.cat(list(from_folder)))
    expected = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1
    assert torch.allclose(torch.cat(list(from_npz)), expected, atol=1e-6)


def test_a_limit_takes_images_from_the_whole_set(tmp_path):
    images = np.linspace(-1, 1, 7 * 4, dtype=np.float32).reshape(7, 1, 2, 2)
    labels = np.array([0, 0, 1, 1, 2, 2, 2])
    np.savez(tmp_path / "f.npz", images=images, labels=labels)
    source = open_images(str(tmp_path / "f.npz"), "calibration", (1, 2, 2), limit=3)
    assert len(source) == 3
    assert source.labels.tolist() == [0, 1, 2]
    assert torch.equal(torch.cat(list(source)), torch.from_numpy(images[[0, 2, 4]]))
    whole = open_images(str(tmp_path / "f.npz"), "calibration", (1, 2, 2), limit=9)
    assert torch.equal(torch.cat(list(whole)), torch.from_numpy(images))


def test_parts_of_parts_keep_captions_and_identities():
    ids = torch.arange(10) * 7
    source = ImageSource(
        "x", 10, lambda chosen: torch.tensor(chosen)[:, None].float(),
        labels=list("abcdefghij"), ids=ids,
    )  # fmt: skip
    part = source.every_other(1).spread(2)
    assert torch.cat(list(part)).flatten().tolist() == [1, 5]
    assert part.labels == ["b", "f"]
    assert part.ids.tolist() == [7, 35]


def _npz(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((5, 1, 4, 4), np.float32)}, "takes images of shape"),
        ({"images": np.full((5, 1, 8, 8), 1.5, np.float32)}, r"in \[-1, 1\]"),
        ({"images": np.full((5, 1, 8, 8), np.nan, np.float32)}, "5 images with NaN .* first at 0"),
        ({"images": np.zeros((5, 1, 8, 8), np.int64)}, "expected uint8"),
        ({"pixels": np.zeros((5, 8, 8), np.uint8)}, "expected an array 'images'"),
        ({"images": np.zeros((1, 8, 8), np.uint8)}, "at least two"),
        ({"images": np.zeros((0, 8, 8), np.uint8)}, "at least two"),
        ({"images": np.array([{}, {}])}, "cannot be read"),
        ({"images": np.uint8(3)}, "a single uint8"),
        ({"images": np.zeros((5, 8, 8), "u1,u1")}, "expected uint8"),
    ],
)
def test_bad_npz_is_refused(tmp_path, arrays, message):
    reference = _npz(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match=message):
        open_images(reference, "calibration", (1, 8, 8))


def test_what_is_no_data_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("not an archive")
    (tmp_path / "empty").mkdir()
    for reference, message in (
        (str(tmp_path / "text.npz"), "cannot be read"),
        (str(tmp_path / "nothing"), "expected 'digits', a folder"),
        (str(tmp_path / "empty"), "at least two"),
    ):
        with pytest.raises(InputError, match=message):
            open_images(reference, "calibration", (1, 8, 8))


def _pictures(folder, sizes, mode="L"):
    folder.mkdir(exist_ok=True)
    for i, size in enumerate(sizes):
        noise = np.random.default_rng(i).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        Image.fromarray(noise).convert(mode).save(folder / f"{i}.png")
    return folder


def _all(reference, shape, **more):
    return torch.cat(list(open_images(str(reference), "calibration", shape, **more)))


def test_a_name_goes_before_a_folder_of_that_name(tmp_path, monkeypatch):
    _pictures(tmp_path / "digits", [(8, 8), (8, 8)])
    monkeypatch.chdir(tmp_path)
    assert torch.equal(_all("digits", (1, 8, 8)), digits("calibration"))
    assert len(open_images("./digits", "calibration", (1, 8, 8))) == 2


def test_broken_pictures_are_refused(tmp_path):
    _pictures(tmp_path, [(8, 8), (8, 8)])
    source = open_images(str(tmp_path), "calibration", (1, 8, 8))
    for content in (b"\x89PNG broken", b"", (tmp_path / "0.png").read_bytes()[:70]):
        (tmp_path / "1.png").write_bytes(content)
        with pytest.raises(InputError, match="cannot be read as an image"):
            list(source)
    (tmp_path / "1.png").unlink()
    with pytest.raises(InputError, match="No such file"):
        list(source)


def test_a_picture_with_far_too_many_pixels_is_refused(tmp_path, monkeypatch):
    _pictures(tmp_path, [(8, 8), (40, 40)])
    monkeypatch.setattr("real.images.pixels.MOST_PIXELS", 1000)
    with pytest.raises(InputError, match="too many pixels: expected at most 1,000"):
        _all(tmp_path, (1, 8, 8))
    monkeypatch.setattr("real.images.pixels.MOST_PIXELS", 1600)
    _all(tmp_path, (1, 8, 8))


def test_other_sizes_lose_their_edges_and_are_averaged_down(tmp_path):
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:, 4:20] = np.indices((16, 16)).sum(0)[..., None] % 2 * 255
    for i in range(2):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    images = _all(tmp_path, (3, 8, 8))
    assert images.shape == (2, 3, 8, 8)
    assert images.abs().max() < 0.1
    kept = _all(tmp_path, (3, 16, 24))
    assert torch.equal(kept[0], torch.from_numpy(pixels).permute(2, 0, 1) / 127.5 - 1)


def test_grey_and_colour_become_each_other(tmp_path):
    _pictures(tmp_path, [(8, 8), (8, 8)], "L")
    grey, colour = _all(tmp_path, (1, 8, 8)), _all(tmp_path, (3, 8, 8))
    assert torch.equal(colour, grey.expand(-1, 3, -1, -1))
    _pictures(tmp_path, [(8, 8), (8, 8)], "RGB")
    colour, grey = _all(tmp_path, (3, 8, 8)), _all(tmp_path, (1, 8, 8))
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    assert torch.allclose((colour * weights).sum(1, keepdim=True), grey, atol=0.01)
    np.savez(tmp_path / "rgb.npz", images=np.zeros((2, 9, 9, 3), np.uint8))
    assert _all(tmp_path / "rgb.npz", (1, 8, 8)).shape == (2, 1, 8, 8)


def _zip(path, folder, labels=None):
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.glob("*.png"):
            archive.write(file, f"00000/{file.name}")
        if labels is not None:
            archive.writestr("dataset.json", json.dumps({"labels": labels}))
    return path


def test_zip_gives_the_folders_images_with_their_labels(tmp_path):
    folder = _pictures(tmp_path / "f", [(8, 8)] * 4, "RGB")
    labels = [[f"00000/{i}.png", 10 + i] for i in (2, 0, 3, 1)]
    path = _zip(tmp_path / "set.zip", folder, labels)
    source = open_images(str(path), "calibration", (3, 8, 8), limit=3, batch_size=2)
    assert torch.equal(torch.cat(list(source)), _all(folder, (3, 8, 8))[:3])
    assert source.labels.tolist() == [10, 11, 12]
    assert torch.equal(torch.cat(list(source)), torch.cat(list(source)))
    assert open_images(str(_zip(path, folder)), "calibration", (3, 8, 8)).labels is None
    (folder / "dataset.json").write_text(
        json.dumps({"labels": [[f"{i}.png", i] for i in range(4)]})
    )
    assert open_images(str(folder), "calibration", (3, 8, 8)).labels.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([["00000/0.png", 1]], "has no label for 00000/1.png"),
        ([["00000/0.png", 1], ["00000/1.png", "cat"]], "expected .*labels"),
        ([["00000/0.png", 1], ["00000/1.png", -1]], "labels from 0"),
        ("none", "expected .*labels"),
        (3, "expected .*labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, labels, message):
    path = _zip(tmp_path / "set.zip", _pictures(tmp_path / "f", [(8, 8)] * 2), labels)
    with pytest.raises(InputError, match=message):
        open_images(str(path), "calibration", (1, 8, 8))


def test_broken_zips_and_bombs_are_refused(tmp_path, monkeypatch):
    path = _zip(tmp_path / "set.zip", _pictures(tmp_path / "f", [(8, 8)] * 2))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="expected a zip file"):
        _all(path, (1, 8, 8))
    data = bytearray(whole)
    data[60:70] = bytes(10)
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="broken at or after"):
        _all(path, (1, 8, 8))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(2):
            archive.writestr(f"{i}.png", bytes(2**26 + 1))
    with pytest.raises(InputError, match="would unpack to 67,108,865 bytes"):
        _all(path, (1, 8, 8))


def test_npz_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, images=np.zeros((300, 32, 32), np.uint8))
    assert len(_all(path, (1, 32, 32))) == 300
    monkeypatch.setattr(npz, "BOMB_BYTES", 2**18)
    with pytest.raises(InputError, match="would unpack from"):
        _all(path, (1, 32, 32))
    monkeypatch.undo()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 10**6)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", header.getvalue())
    with pytest.raises(InputError, match="claims an array"):
        _all(path, (1, 32, 32))


def test_npz_labels(tmp_path):
    images = np.zeros((3, 8, 8), np.uint8)
    reference = _npz(tmp_path / "l.npz", images=images, labels=np.array([4, 5, 6], np.uint8))
    assert open_images(reference, "held-out", (1, 8, 8), limit=2).labels.tolist() == [4, 5]
    for labels in (np.zeros(2, int), np.zeros(3), np.array([0, 1, -1])):
        reference = _npz(tmp_path / "l.npz", images=images, labels=labels)
        with pytest.raises(InputError, match="labels"):
            open_images(reference, "held-out", (1, 8, 8))


WHOLE = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", ">u2", ">u4", ">u8", ">i2", ">i4", ">i8"]


@pytest.mark.parametrize("dtype", WHOLE)
def test_npz_labels_of_any_width_and_byte_order(tmp_path, dtype):
    images = np.zeros((3, 8, 8), np.uint8)
    labels = np.array([4, 99, 127]).astype(dtype)
    reference = _npz(tmp_path / "l.npz", images=images, labels=labels)
    found = open_images(reference, "held-out", (1, 8, 8)).labels
    assert found.dtype == torch.int64
    assert found.tolist() == [4, 99, 127]


NO_NUMBERS = [
    np.array(["a", "b", "c"]), np.array([b"a", b"b", b"c"]), np.zeros(3, "u1,f4"), np.zeros(3, "V4"),
    np.zeros(3, "M8[s]"), np.zeros(3, "m8[s]"), np.zeros(3, bool), np.zeros(3, complex),
    np.zeros(3, ">f4"), np.float16(1), np.array(2), np.zeros((3, 1), int), np.zeros(0, int),
    np.full(3, 2**63, np.uint64),
]  # fmt: skip


@pytest.mark.parametrize("labels", NO_NUMBERS, ids=lambda labels: str(labels.dtype))
def test_npz_labels_that_are_no_whole_numbers_are_refused_in_one_line(tmp_path, labels):
    reference = _npz(tmp_path / "l.npz", images=np.zeros((3, 8, 8), np.uint8), labels=labels)
    with pytest.raises(InputError, match="labels") as caught:
        open_images(reference, "held-out", (1, 8, 8))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64])
def test_labels_of_unsigned_tensors(dtype):
    assert whole_labels(torch.tensor([1, 2]).to(dtype), 2, "here").tolist() == [1, 2]


def test_digits_carry_their_labels():
    source = open_images("digits", "calibration", (1, 8, 8))
    assert source.labels.shape == (400,)
    assert set(source.labels.tolist()) == set(range(10))


def _captions(folder, rows):
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "metadata.jsonl"


def test_the_labels_of_the_digits_are_theirs():
    """The nearest mean image of a class names most held-out digits."""
    (seen, of_seen), (images, labels) = (
        (torch.cat(list(source)).flatten(1), source.labels)
        for source in (digits_source(role, (1, 8, 8)) for role in ("training", "held-out"))
    )
    means = torch.stack([seen[of_seen == label].mean(0) for label in range(10)])
    assert (torch.cdist(images, means).argmin(1) == labels).double().mean() > 0.8


def test_captions_say_which_images_in_what_order(tmp_path):
    folder = _pictures(tmp_path / "f", [(8, 8)] * 3)
    uncaptioned = _all(folder, (1, 8, 8))
    rows = [{"file_name": "2.png", "text": "two"}, {"file_name": "0.png", "text": "zero"}]
    file = _captions(folder, rows)
    for reference in (folder, file):
        source = open_images(str(reference), "calibration", (1, 8, 8))
        assert source.labels == ["two", "zero"]
        assert torch.equal(torch.cat(list(source)), uncaptioned[[2, 0]])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"file_name": "0.png"}, "line 2"),
        ({"file_name": 3, "text": "x"}, "line 2"),
        ({"file_name": "../secret.png", "text": "x"}, "outside of its folder"),
        ({"file_name": "/etc/secret.png", "text": "x"}, "outside of its folder"),
        (["0.png", "x"], "line 2"),
    ],
)
def test_bad_captions_are_refused(tmp_path, row, message):
    folder = _pictures(tmp_path / "f", [(8, 8)] * 2)
    _captions(folder, [{"file_name": "0.png", "text": "x"}, row])
    with pytest.raises(InputError, match=message):
        open_images(str(folder), "calibration", (1, 8, 8))


class Rows:
    """A table of rows as torchvision and the library datasets offer it."""

    def __init__(self, root, train=True, split=None, download=False):
        if not download:
            raise RuntimeError("Dataset not found.\nYou can use download=True to download it")
        self.pictures = [Image.new("RGB", (10, 8), (i, i, i)) for i in range(4)]
        self.targets = [int(train), 1, 2, 3]

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return self.pictures[i], self.targets[i]


def test_torchvision_sets(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(InputError, match="needs torchvision, which is not installed"):
        open_images("cifar10", "calibration", (3, 8, 8))
    fake = types.SimpleNamespace(datasets=types.SimpleNamespace(CIFAR10=Rows))
    monkeypatch.setitem(sys.modules, "torchvision", fake)
    with pytest.raises(InputError, match="--download fetches it") as caught:
        open_images("cifar10", "calibration", (3, 8, 8), data_root=tmp_path)
    assert "\n" not in str(caught.value)
    for role, first in (("calibration", 1), ("held-out", 0)):
        source = open_images("cifar10", role, (3, 8, 8), data_root=tmp_path, download=True)
        assert source.labels.tolist() == [first, 1, 2, 3]
        levels = torch.cat(list(source)).amax((1, 2, 3))
        assert torch.allclose(levels, torch.arange(4) / 127.5 - 1, atol=1e-6)


NAMED_SETS = {
    "mnist": ("MNIST", {"train": True}, {"train": False}),
    "fashion-mnist": ("FashionMNIST", {"train": True}, {"train": False}),
    "cifar10": ("CIFAR10", {"train": True}, {"train": False}),
    "celeba": ("CelebA", {"split": "train"}, {"split": "test"}),
}
"""Torchvision's class, and how it is asked for the images to train on and for the others."""


@pytest.mark.parametrize("name", NAMED_SETS)
def test_held_out_images_are_of_the_test_part_of_each_named_set(name, tmp_path, monkeypatch):
    kind, training, testing = NAMED_SETS[name]
    asked = []

    def without_classes(root, **how):
        asked.append((root, how))
        return [(Image.new("L", (8, 8)), None)] * 2

    fake = types.SimpleNamespace(datasets=types.SimpleNamespace(**{kind: without_classes}))
    monkeypatch.setitem(sys.modules, "torchvision", fake)
    for role, part in (("training", training), ("calibration", training), ("held-out", testing)):
        source = open_images(name, role, (1, 8, 8), data_root=tmp_path)
        assert (source.labels, len(source), source.name) == (None, 2, name)
        assert asked.pop() == (tmp_path, {"download": False, **part})


def test_latents_keep_all_that_is_known_of_their_images():
    images = ImageSource.of(
        "some", torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0)), batch_size=2,
        labels=torch.tensor([2, 0, 1]), ids=torch.tensor([7, 8, 9]), groups=["a", "b", "a"],
    )  # fmt: skip
    codec = Codec((1, 2, 2), torch.neg, torch.neg, "mark")
    made = latents_of(images, codec)
    for name in ("name", "count", "batch_size", "labels", "ids", "groups"):
        assert getattr(made, name) is getattr(images, name), name
    assert torch.equal(torch.cat(list(made)), -torch.cat(list(images)))
    unnamed = latents_of(replace(images, ids=None, labels=["x", "y", "z"]), codec)
    assert torch.equal(unnamed.ids, image_ids(torch.cat(list(images))))
    assert unnamed.labels == ["x", "y", "z"]


class Table:
    """As the library datasets has it: rows and columns by index, and what kind each column is."""

    def __init__(self, **columns):
        self.columns = columns
        kinds = {"image": "Image", "other": "Image", "label": "ClassLabel"}
        self.features = {name: type(kinds.get(name, "Value"), (), {})() for name in columns}

    def __len__(self):
        return 3

    def cast_column(self, name, kind):
        assert kind == {"decode": False}
        return Table(**self.columns | {name: [self._stored(p) for p in self.columns[name]]})

    def _stored(self, picture):
        file = io.BytesIO()
        picture.save(file, "png")
        return {"bytes": file.getvalue(), "path": None}

    def __getitem__(self, key):
        if isinstance(key, str):
            return self.columns[key]
        return {name: [values[i] for i in key] for name, values in self.columns.items()}


def test_hub_sets(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match="needs the library datasets, which is not installed"):
        open_images("hub:a/b", "calibration", (1, 8, 8))
    asked = []
    pictures = [Image.new("L", (8, 8), i) for i in range(3)]
    tables = {
        "a/classes": Table(image=pictures, label=[2, 1, 0]),
        "a/texts": Table(image=pictures, text=["x", "y", "z"]),
        "a/words": Table(text=["x", "y", "z"]),
        "a/captions": Table(other=pictures[::-1], image=pictures, caption=["u", "v", "w"]),
        "a/both": Table(caption=["u", "v", "w"], image=pictures, text=["x", "y", "z"]),
        "a/all": Table(text=["x", "y", "z"], label=[2, 1, 0], image=pictures),
    }

    def load_dataset(name, split, download_config):
        asked.append((name, split, download_config))
        if name not in tables:
            raise ConnectionError("no\nway")
        return tables[name]

    fake = types.SimpleNamespace(load_dataset=load_dataset, DownloadConfig=lambda **kw: kw,
                                 Image=lambda **kw: kw)  # fmt: skip
    monkeypatch.setitem(sys.modules, "datasets", fake)
    classes = open_images("hub:a/classes:test", "calibration", (1, 8, 8), download=True)
    assert classes.labels.tolist() == [2, 1, 0]
    assert torch.cat(list(classes)).shape == (3, 1, 8, 8)
    levels = (classes.load([2, 0, 1]).amax((1, 2, 3)) + 1) * 127.5  # each picture is of its number
    assert levels.round().tolist() == [2, 0, 1]
    assert open_images("hub:a/texts", "calibration", (3, 8, 8)).labels == ["x", "y", "z"]
    assert asked == [
        ("a/classes", "test", {"local_files_only": False}),
        ("a/texts", "train", {"local_files_only": True}),
    ]
    captions, both, everything = (
        open_images(f"hub:a/{name}", "calibration", (1, 8, 8))
        for name in ("captions", "both", "all")
    )
    assert (captions.labels, both.labels) == (["u", "v", "w"], ["x", "y", "z"])
    assert everything.labels.tolist() == [2, 1, 0]
    assert torch.equal(captions.load([0, 2]), classes.load([2, 0]))  # the first column of pictures
    for name, download, says in (
        ("words", False, "expected a column of images in hub:a/words, got text"),
        ("none", False, "hub:a/none is not there; --download fetches it"),
        ("none", True, "hub:a/none cannot be fetched"),
    ):
        with pytest.raises(InputError) as caught:
            open_images(f"hub:a/{name}", "calibration", (1, 8, 8), download=download)
        assert str(caught.value) == f"data: {says}"


@pytest.mark.parametrize("in_memory", [2**30, 100])
def test_latents_are_encoded_once_and_kept(tmp_path, monkeypatch, in_memory):
    monkeypatch.setattr(latents, "IN_MEMORY", in_memory)
    calls = []

    def encode(images):
        calls.append(len(images))
        return images.mean(1, keepdim=True)[..., ::2] * 3

    images = open_images("digits", "calibration", (1, 8, 8), limit=10, batch_size=4)
    coded = latents_of(images, Codec((1, 8, 8), encode, lambda z: z, ""))
    encoded = len(calls)
    for _ in range(2):
        assert torch.equal(torch.cat(list(coded)), torch.cat(list(images))[..., ::2] * 3)
    assert len(calls) == encoded
    assert torch.equal(coded.labels, images.labels)
    assert coded.batch_size == 4
    assert torch.equal(coded.ids, image_ids(torch.cat(list(images))))
    with pytest.raises(NonFiniteError, match="latent"):
        latents_of(images, Codec((1, 8, 8), lambda x: x / 0, lambda z: z, ""))


def blurred(fingerprint="one", error=0.0):
    """A codec whose latents are a little different for each size of a batch."""

    def encode(images):
        return images[..., ::2] * 3 + error * len(images)

    return Codec((1, 8, 8), encode, lambda z: z, fingerprint)


def test_latents_in_a_file_stay_who_they_are(tmp_path):
    images = open_images("digits", "calibration", (1, 8, 8), limit=10, batch_size=4)
    coded = latents_of(images, blurred())
    save_latents(coded, blurred(), tmp_path / "x.safetensors")
    opened = open_images(str(tmp_path / "x.safetensors"), "calibration", (1, 8, 4))
    assert torch.equal(torch.cat(list(opened)), torch.cat(list(coded)))
    assert opened.labels.tolist() == coded.labels.tolist()
    again = latents_of(replace(images, batch_size=5), blurred(error=1e-5))
    assert not torch.equal(torch.cat(list(again)), torch.cat(list(coded)))
    assert torch.equal(again.ids, opened.ids)
    require_codec(tmp_path / "x.safetensors", blurred())
    with pytest.raises(InputError, match="another autoencoder"):
        require_codec(tmp_path / "x.safetensors", blurred("two"))


def test_captions_go_with_latents(tmp_path):
    images = open_images("digits", "calibration", (1, 8, 8), limit=3)
    images = replace(images, labels=["a", "b", "ü"])
    save_latents(latents_of(images, blurred()), blurred(), tmp_path / "x.safetensors")
    opened = open_images(str(tmp_path / "x.safetensors"), "calibration", (1, 8, 4))
    assert opened.labels == ["a", "b", "ü"]


LATENTS = torch.zeros(3, 1, 8, 4)


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({"images": LATENTS}, {}, "expected an array 'latents'"),
        ({"latents": LATENTS[0]}, {}, r"latents \(n, 1, 8, 4\)"),
        ({"latents": LATENTS.int()}, {}, "floating-point latents"),
        ({"latents": LATENTS, "ids": torch.arange(2)}, {}, r"ids int64 \(3,\)"),
        ({"latents": LATENTS, "labels": torch.arange(2)}, {}, "one whole number per image"),
        ({"latents": LATENTS}, {"texts": '["a"]'}, "JSON list of 3 texts"),
        ({"latents": LATENTS}, {"texts": "["}, "JSON list of 3 texts"),
        ({"latents": LATENTS}, {"texts": '["a", 1, "b"]'}, "JSON list of 3 texts"),
        (None, {}, "far more than a network has, or is broken"),
    ],
)
def test_other_files_of_latents_are_refused(tmp_path, tensors, metadata, message):
    path = tmp_path / "x.safetensors"
    if tensors is None:
        path.write_bytes(b"nothing")
    else:
        save_file(tensors, path, metadata)
    with pytest.raises(InputError, match=message):
        open_images(str(path), "calibration", (1, 8, 4))


DATA = next(
    (p / "shared/data" for p in Path(__file__).parents if (p / "shared/data").is_dir()), None
)


@pytest.mark.skipif(DATA is None, reason="the image sets are not here")
@pytest.mark.parametrize(
    ("name", "count"), [("fashion_mnist_test.npz", 10000), ("cifar10_jpeg_test.npz", 2000)]
)
def test_real_sets_open_at_any_size(name, count):
    source = open_images(str(DATA / name), "held-out", (3, 16, 16), batch_size=50)
    assert len(source) == len(source.labels) == count
    assert set(source.labels.tolist()) == set(range(10))
    batch = next(iter(source))
    assert batch.shape == (50, 3, 16, 16)
    assert -1 <= batch.min() < -0.8 < 0.8 < batch.max() <= 1


def test_batches_are_read_ahead_in_their_order_and_not_all_at_once():
    started, stop = [], threading.Event()

    def load(chosen):
        started.append(chosen[0])
        return torch.full((len(chosen), 1), float(chosen[0]))

    source = ImageSource("numbers", 23, load, batch_size=2)
    batches = iter(source)
    first = next(batches)
    assert first[0].item() == 0
    stop.wait(0.2)
    assert sorted(started) == [0, 2, 4], "two ahead of the one in use"
    rest = [batch[0].item() for batch in batches]
    assert rest == [float(k) for k in range(2, 23, 2)]
    assert len(list(source)) == 12, "it can be read again"


def test_bad_pictures_are_skipped_and_named_where_that_is_asked_for(tmp_path):
    folder = tmp_path / "folder"
    for name in ("a", "b", "b-2"):
        (folder / name).mkdir(parents=True)
        for k in range(3):
            pixels = np.full((8, 8), 40 * k, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{k}.png")
    (folder / "b" / "1.png").write_bytes((folder / "b" / "0.png").read_bytes()[:40])
    (folder / "b-2" / "2.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"b/1\.png cannot be read as an image"):
        _all(folder, (1, 8, 8))
    source = open_images(str(folder), "calibration", (1, 8, 8), skip_bad=True)
    assert len(source) == 7
    assert len(torch.cat(list(source))) == 7
    assert source.labels.tolist() == [0, 0, 0, 1, 1, 2, 2]
    said = "\n".join(source.notes)
    assert "2 of 9 images cannot be read and were skipped" in said
    assert "b/1.png" in said
    assert "b-2/2.png" in said
    for path in folder.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match="expected at least two images, got 0"):
        open_images(str(folder), "calibration", (1, 8, 8), skip_bad=True)


def test_pictures_are_read_by_threads_without_a_change_of_the_filters_of_warnings(tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "0.png")
    content, before = (tmp_path / "0.png").read_bytes(), list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: read_picture(content, str(k), (1, 8, 8)), range(400)))
    assert warnings.filters == before


def test_of_very_many_bad_pictures_some_are_named_and_the_others_counted():
    def none(positions):
        raise InputError(f"number {positions[0]}")

    first, *named, last = ImageSource("set", 5000, none).readable().notes
    assert first == "set: 5000 of 5000 images cannot be read and were skipped"
    assert named[0] == "  skipped: number 0" and len(named) < 1000
    assert last == f"  and {5000 - len(named)} more"


@pytest.mark.parametrize("value", [-1.5, 1.5])
def test_floating_point_images_beyond_either_end_are_refused(tmp_path, value):
    np.savez(tmp_path / "x.npz", images=np.full((2, 1, 4, 4), value, np.float32))
    with pytest.raises(InputError, match=rf"expected floating-point images in \[-1, 1\].*{value}"):
        open_images(str(tmp_path / "x.npz"), "calibration", (1, 4, 4))


def test_a_label_that_no_class_has_is_refused():
    for label in (2**31, 2**70, -(2**70)):
        with pytest.raises(InputError, match="expected"):
            labels_of(f'{{"labels": [["a.png", {label}]]}}'.encode(), ["a.png"], "dataset.json")
