"""Folders as diffusers writes them: their configuration, and how their parts are loaded.

No code in a folder is run.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from real.families.checkpoint import Source
from real.families.diffusers.weights import require_as_many, require_plausible, weights_of
from theory.support.errors import InputError, one_line
from theory.support.safe_reading import entries, read_json_object

NETWORK_PARTS = ("unet", "transformer", ".")
FOREIGN = re.compile(r"^auto_map$|^quantization_config$|implementation|kernel_config|use_kernels")
"""Keys by which a configuration, at whatever depth, asks for code other than the library's."""

COPY, HALF = re.compile(r"\.(fp16|bf16|non_ema)[.-]"), re.compile(r"\.fp16[.-].*safetensors$")
"""Names of copies of the weights, and of those copies that are read if there is nothing else."""


def network_part(folder: Path) -> str:
    """The subfolder of the network that denoises: ``unet``, ``transformer``, or ".", the top.

    Raises:
        InputError: there is no network.
    """
    for part in NETWORK_PARTS:
        if (folder / part / "config.json").is_file():
            return part
    raise InputError(
        f"checkpoint: expected unet/config.json, transformer/config.json or config.json in "
        f"{folder}, found neither"
    )


def network_config(folder: Path) -> dict[str, Any]:
    """The configuration of the network that denoises.

    Raises:
        InputError: there is no network, or its configuration cannot be read.
    """
    return read_config(folder / network_part(folder))


def read_config(part: Path) -> dict[str, Any]:
    """The configuration of a part of a pipeline.

    Raises:
        InputError: it cannot be read.
    """
    return read_json_object(part / "config.json", "checkpoint")


def class_name(folder: Path) -> str:
    """The diffusers class of the network that denoises.

    Raises:
        InputError: there is no network, or its configuration cannot be read.
    """
    return str(network_config(folder).get("_class_name"))


def is_a(source: Source, *names: str) -> bool:
    """Whether a source is a folder whose network is of one of these classes."""
    try:
        return source.path.is_dir() and class_name(source.path) in names
    except InputError:
        return False


def model_index(folder: Path) -> dict[str, Any]:
    """The index of a pipeline's parts; {} for a network alone.

    Raises:
        InputError: it cannot be read.
    """
    path = folder / "model_index.json"
    return read_json_object(path, "checkpoint") if path.is_file() else {}


def scheduler_config(folder: Path) -> dict[str, Any]:
    """The configuration of the scheduler, in ``scheduler/`` or at the top.

    Raises:
        InputError: there is none.
    """
    for candidate in (folder / "scheduler", folder):
        if (candidate / "scheduler_config.json").is_file():
            return read_json_object(candidate / "scheduler_config.json", "checkpoint")
    raise InputError(
        f"checkpoint: expected scheduler/scheduler_config.json or scheduler_config.json in "
        f"{folder}, found neither"
    )


def require_plain(folder: Path) -> None:
    """Refuse a network whose configuration asks for anything but the library's own code.

    Raises:
        InputError: it asks for other code, kernels or a quantization, or cannot be read.
    """
    for key, value in entries(read_config(folder)):
        if FOREIGN.search(key) and value is not None:
            raise InputError(f"checkpoint: expected a plain network in {folder}, it has {key:.60}")


def load_part(kind: Any, folder: Path, device: Any) -> tuple[Any, list[str]]:
    """A frozen network in float32 on a device, and the names of weights that it does not use.

    Raises:
        InputError: as ``read_part``.
    """
    network, unused = read_part(kind, folder)
    with quiet():
        network.to(device, torch.float32)
    return network, unused


def read_part(kind: Any, folder: Path) -> tuple[Any, list[str]]:
    """A frozen network as the library reads it, and the names of weights that it does not use.

    Weights are read from safetensors, or from .bin files without running code; those of the variant
    fp16 only where there are no others. First all files are checked, and the network is built
    without memory.

    Raises:
        InputError: files are missing or broken, weights are missing or of other shapes, or the
            configuration asks for code of its own.
    """
    require_plain(folder)
    config, weights = read_config(folder), weights_of(folder)
    require_plausible(config, weights, folder)
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            require_as_many(_empty(kind, config), weights, folder)
            network, info = kind.from_pretrained(
                folder, local_files_only=True, output_loading_info=True, low_cpu_mem_usage=False,
                variant=_variant(folder),
            )  # fmt: skip
    except InputError:
        raise
    except Exception as error:  # a broken folder makes the libraries raise errors of every kind
        raise InputError(
            f"checkpoint: cannot load the network in {folder}: {one_line(error)}"
        ) from error
    if info["missing_keys"]:
        raise InputError(
            f"checkpoint: cannot load the network in {folder}: no weights for "
            f"{min(info['missing_keys'])}"
        )
    return network.eval().requires_grad_(False), sorted(info["unexpected_keys"])


def _variant(folder: Path) -> str | None:
    kinds = ("*model*.safetensors", "*model*.bin")
    weights = [path.name for kind in kinds for path in folder.glob(kind)]
    halves = [name for name in weights if HALF.search(name)]
    plain = [name for name in weights if not COPY.search(name)]
    return "fp16" if halves and not plain else None


def _empty(kind: Any, config: dict[str, Any]) -> Any:
    """The network without memory: transformers' classes have a class of configurations."""
    with torch.device("meta"):
        if getattr(kind, "config_class", None) is None:
            return kind.from_config(config)
        return kind(kind.config_class.from_dict(config))


@contextmanager
def quiet() -> Iterator[None]:
    """Silence diffusers' log: what matters of it is raised as an error."""
    from diffusers.utils import logging as diffusers_logging

    level = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity(diffusers_logging.CRITICAL)
    try:
        yield
    finally:
        diffusers_logging.set_verbosity(level)
