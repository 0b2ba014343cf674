"""Tensors and texts in one safetensors file; reading it runs no code."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from theory.support.checks import kind_of
from theory.support.errors import InputError
from theory.support.output import replacing_file
from theory.support.safe_tensors import require_header

FORMAT = "format"
"""The text that names what the file holds, and in which version."""


@dataclass(frozen=True)
class Contents:
    """What a file holds: tensors by name, and texts by name."""

    tensors: Mapping[str, Tensor]
    texts: Mapping[str, str] = field(default_factory=dict)

    def __or__(self, other: "Contents") -> "Contents":
        return Contents({**self.tensors, **other.tensors}, {**self.texts, **other.texts})


def as_path(what: str, path: Any) -> Path:
    """The path of a file of that kind.

    Raises:
        InputError: it is no path.
    """
    if not isinstance(path, str | PathLike):
        raise InputError(f"{what}: expected the path of a file, got {kind_of(path)}")
    return Path(path)


def write(path: Path, stored: Contents, format_: str) -> None:
    """Write a file of that format; it appears whole or not at all."""
    tensors, storages = {}, set()
    for name, tensor in stored.tensors.items():
        own = tensor.contiguous()
        storage = own.untyped_storage().data_ptr()
        tensors[name] = own.clone() if storage in storages else own  # the format shares none
        storages.add(storage)
    with replacing_file(path) as temporary:
        save_file(tensors, temporary, {FORMAT: format_, **stored.texts})


@contextmanager
def reading(path: Path, what: str, format_: str) -> Iterator[Contents]:
    """The content of a file, for a block that builds an object of it.

    Args:
        path: the file.
        what: the kind of object, for messages, such as ``calibration``.
        format_: what the file must say that it holds.

    Raises:
        InputError: there is no such file, it is of another format, or it or the block fails.
    """
    if path.is_dir():
        raise InputError(f"{what}: expected a file, {path} is a folder")
    if not path.is_file():
        raise InputError(f"{what}: expected a file, there is none at {path}")
    require_header(path, what)
    try:
        with safe_open(path, "pt") as file:
            texts = file.metadata() or {}
            if texts.get(FORMAT) != format_:
                raise InputError(f"{what}: this is no {what} of format {format_!r}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        yield Contents(tensors, texts)
    except InputError as error:
        message = str(error).removeprefix(f"{what}: ")
        raise InputError(f"{what}: {message} (in {path})") from error
    except Exception as error:  # whatever arbitrary values make of the block
        raise InputError(f"{what}: {path} cannot be read as a {what}") from error
