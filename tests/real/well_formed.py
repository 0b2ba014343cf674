"""Small well-formed files of every kind that is read, and how each is read."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from real.checkpoints import load
from real.compress import repaired_folder
from real.images.groups import read_groups
from real.images.opening import open_images
from real.reports.audit import read_statistics
from tests.real import tiny_pipelines
from tests.real.conftest import save_pipeline
from tests.real.state_files import SMALL_DDPM, ddpm_state
from tests.real.stored_networks import Persistent
from theory.calibration.result import Calibration
from theory.sampling.fitted import FittedSolver

SHAPE = (1, 8, 8)


@dataclass(frozen=True)
class WellFormed:
    """A part of a file, which is changed, and the file around it.

    Attributes:
        part: the bytes that are changed.
        name: of the file, in a folder with its other files.
        read: reads the file, or the folder that it lies in.
        around: the whole file, from the changed part.
        others: the other files, by name.
    """

    part: bytes
    name: str
    read: Callable[[Path], Any]
    around: Callable[[bytes], bytes] = bytes
    others: dict[str, bytes] = field(default_factory=dict)


def _images(path: Path) -> list[Any]:
    return list(open_images(str(path), "calibration", SHAPE))


def _of_folder(read: Callable[[Path], Any], up: int, path: Path) -> Any:
    return read(path.parents[up])


def _picture(kind: str) -> bytes:
    content = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


def _zip(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return content.getvalue()


def _saved(content: Any, new: bool) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=new)
    return file.getvalue()


def _repickled(whole: bytes, pickled: bytes) -> bytes:
    """A file of ``torch.save`` with another pickle in it, and sums that fit."""
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        members = {part.filename: file.read(part) for part in file.infolist()}
    return _zip(**{n: pickled if n.endswith("data.pkl") else data for n, data in members.items()})


def _headed(whole: bytes, header: bytes) -> bytes:
    """A safetensors file with another header of the length that it says."""
    length = struct.unpack("<Q", whole[:8])[0]
    return struct.pack("<Q", len(header)) + header + whole[8 + length :]


def _header(whole: bytes) -> bytes:
    return whole[8 : 8 + struct.unpack("<Q", whole[:8])[0]]


def _npz(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def _with_header(whole: bytes, name: str, array: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        members = {part.filename: file.read(part) for part in file.infolist()}
    return _zip(**(members | {name: array}))


def _tensors(name: str, whole: bytes, read: Callable[[Path], Any]) -> dict[str, WellFormed]:
    return {
        name: WellFormed(whole, "x.safetensors", read),
        f"{name}, header": WellFormed(
            _header(whole), "x.safetensors", read, partial(_headed, whole)
        ),
    }


def _folder(name: str, folder: Path, part: str, read: Any = load) -> dict[str, WellFormed]:
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    up = len(Path(part).parents) - 1
    whole = files.pop(part)
    return {name: WellFormed(whole, part, partial(_of_folder, read, up), others=files)}


def checkpoints() -> dict[str, WellFormed]:
    """Files of weights, whole and by their inner parts."""
    content = {"state_dict": dict(list(ddpm_state().items())[:8]), "step": 7, "betas": (0.9, [1])}
    zipped, state = _saved(content, True), save(content["state_dict"])
    with zipfile.ZipFile(io.BytesIO(zipped)) as file:
        pickled = next(file.read(n) for n in file.namelist() if n.endswith("data.pkl"))
    arguments = {"img_resolution": 8, "img_channels": 1, "x": np.arange(3.0), "y": np.float64(1)}
    ema = Persistent("EDMPrecond", {"_init_kwargs": arguments, "_parameters": {"w": torch.ones(2)}})
    settings = json.dumps({"config": SMALL_DDPM, "schedule": "cosine", "image_size": 16}).encode()
    return {
        "torch zip": WellFormed(zipped, "x.pt", load),
        "torch zip, pickle": WellFormed(pickled, "x.pt", load, partial(_repickled, zipped)),
        "torch legacy": WellFormed(_saved(content, False), "x.pt", load),
        "network pickle": WellFormed(pickle.dumps({"ema": ema}, 4), "x.pkl", load),
        "settings": WellFormed(
            settings, "x.json", lambda path: load(path.with_suffix(".pt")),
            others={"x.pt": _saved(ddpm_state(), True)},
        ),
        **_tensors("safetensors", state, load),
    }  # fmt: skip


def results(calibration: Path, solver: Path, place: Path) -> dict[str, WellFormed]:
    """Files and folders that the commands write."""
    latents = {"latents": torch.zeros(3, *SHAPE), "ids": torch.arange(3)}
    kept = save(latents, {"codec": "x", "texts": json.dumps(["a", "b", "c"])})
    pipeline = save_pipeline(place / "pipeline", shape=SHAPE)
    text = tiny_pipelines.save("sd3-t5", place / "text")
    manifest = json.dumps(vars(repaired_folder.Manifest("digits", None, "a", "b", "int4", None)))
    return {
        **_tensors("calibration", calibration.read_bytes(), Calibration.load),
        **_tensors("fitted solver", solver.read_bytes(), FittedSolver.load),
        **_tensors("latents", kept, _images),
        **_folder("unet config", pipeline, "unet/config.json"),
        **_folder("scheduler config", pipeline, "scheduler/scheduler_config.json"),
        **_folder("model index", text, "model_index.json"),
        **_folder("tokenizer", text, "tokenizer_3/tokenizer.json"),
        **_folder("encoder config", text, "text_encoder_3/config.json"),
        "manifest": WellFormed(
            manifest.encode(), "repaired.json", lambda path: load(path.parent)
        ),
    }  # fmt: skip


def images() -> dict[str, WellFormed]:
    """Pictures, archives, tables and labels."""
    png, arrays = _picture("PNG"), _npz(images=np.zeros((3, 8, 8), np.uint8), labels=np.arange(3))
    with zipfile.ZipFile(io.BytesIO(arrays)) as file:
        array = file.read("images.npy")
    pictures = {"0.png": png, "1.png": png}
    folder = partial(_of_folder, _images, 0)
    lines = "\n".join(json.dumps({"file_name": f"{k}.png", "text": "a cat"}) for k in (0, 1))
    labels = json.dumps({"labels": [["0.png", 1], ["1.png", 0]]}).encode()
    stats = _npz(stats=np.abs(np.random.default_rng(0).normal(size=(4, 4))))
    return {
        **{
            f"picture {kind}": WellFormed(
                _picture(kind), "0.png", folder, others={"1.png": png, "2.png": png}
            )
            for kind in ("PNG", "JPEG", "BMP", "WEBP")
        },
        "npz": WellFormed(arrays, "x.npz", _images),
        "npz, array": WellFormed(
            array, "x.npz", _images, partial(_with_header, arrays, "images.npy")
        ),
        "zip": WellFormed(_zip(**pictures, **{"dataset.json": labels}), "x.zip", _images),
        "labels": WellFormed(labels, "dataset.json", folder, others=pictures),
        "captions": WellFormed(lines.encode(), "metadata.jsonl", folder, others=pictures),
        "table": WellFormed(
            b"file_name,label\n0.png,1\n1.png,0\n", "metadata.csv", folder, others=pictures
        ),
        "groups": WellFormed(
            b"a,b\n1,2\n3,4\n", "x.csv", lambda path: read_groups(f"{path}:b")
        ),
        "statistics": WellFormed(stats, "x.npz", read_statistics),
    }  # fmt: skip
