"""Check files of weights, and the configuration beside them, before a library reads them.

The libraries build what a configuration describes, with random weights, before they open the files
of weights: a few bytes could ask for any amount of memory or time.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from real.families.checkpoint import LARGEST_SIDE
from real.files.torch_files import require_weights
from theory.support.errors import InputError, refusing
from theory.support.safe_reading import entries, read_json_object, require_regular
from theory.support.safe_tensors import require_header

KINDS = (".safetensors", ".bin")
NUMBERS = {
    "F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I64", "I32", "I16", "I8", "U8", "BOOL",
}  # fmt: skip
"""The number types of safetensors that arithmetic takes."""

LARGEST = 2**20
"""The largest whole number of a configuration; vocabularies have some hundred thousand words."""

SIDES = ("sample_size", "pos_embed_max_size")
NESTED_LAYERS = ("layers_per_block", "transformer_layers_per_block")
"""Settings that multiply the number of layers of each block."""

LAYERS = re.compile(r"(^|_)(layers?|blocks?)(_|$)")
OTHER_LAYERS = re.compile(
    r"dual_attention_layers|_block_types?$|norm|dim|channels|scale|dropout|act"
)
"""Settings whose names mention layers, but that do not count them."""

TABLE = 2**26
"""The most numbers of a table of positions, which no file holds."""

FACTOR, SLACK = 4, 2**20
"""A network may have this multiple of its files' numbers, and so many more: ties and buffers."""


@dataclass(frozen=True)
class Weights:
    """The size of a folder's weights.

    Attributes:
        tensors: number of tensors.
        numbers: number of numbers in all of them.
    """

    tensors: int
    numbers: int


def weights_of(folder: Path) -> Weights:
    """The size of the weights in a folder, after its files are checked.

    Raises:
        InputError: there are no weights, a file is broken or malicious, or something is no file.
    """
    tensors = numbers = 0
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            continue
        require_regular(path, "checkpoint")
        if path.name.endswith(".index.json"):
            _require_own(path)
        for length in _lengths(path):
            tensors += 1
            numbers += length
    if not tensors:
        raise InputError(f"checkpoint: cannot load the network in {folder}: it holds no weights")
    return Weights(tensors, numbers)


def _require_own(index: Path) -> None:
    """Refuse an index whose shards lie elsewhere, or are of a kind that is not checked."""
    names = read_json_object(index, "checkpoint").get("weight_map")
    shards = set(map(str, names.values())) if isinstance(names, dict) else {""}
    for shard in sorted(shards):
        if Path(shard).name != shard or not shard.endswith(KINDS):
            raise InputError(
                f"checkpoint: expected files {' or '.join(KINDS)} beside {index} in it, "
                f"got {shard[:60]!r}"
            )


def _lengths(path: Path) -> Iterator[int]:
    if path.suffix == ".bin":
        yield from (storage.length for storage in require_weights(path).values())
    elif path.suffix == ".safetensors":
        what = f"checkpoint: cannot load the network in {path.parent}"
        require_header(path, what)
        with (
            refusing(f"{what}: {path.name} is truncated or broken safetensors"),
            safe_open(path, "pt") as file,
        ):
            for name in file.keys():  # noqa: SIM118
                yield _length(file.get_slice(name), path)


def _length(part: Any, path: Path) -> int:
    if part.get_dtype() not in NUMBERS:
        raise InputError(f"checkpoint: expected plain numbers in {path}, got {part.get_dtype()}")
    return math.prod(part.get_shape())


def require_plausible(config: Mapping[str, Any], weights: Weights, folder: Path) -> None:
    """Refuse a configuration that describes far more than the files can hold, before it is built.

    Raises:
        InputError: a number, the layers or the table of positions is too large.
    """
    for name, value in entries(config):
        limit = _limit(name, weights)
        for number in _whole_numbers(value):
            if abs(number) > limit:
                got = f"{number:,}" if abs(number) < 10**18 else "far more"
                raise InputError(
                    f"checkpoint: expected {name:.60} of at most {limit:,} in {folder}, got {got}"
                )
    for part in (config, *(value for _, value in entries(config) if isinstance(value, dict))):
        _require_plausible_layers(part, weights, folder)


def _require_plausible_layers(config: Mapping[str, Any], weights: Weights, folder: Path) -> None:
    layers = _layers(config)
    if layers > max(1, weights.tensors):
        raise InputError(
            f"checkpoint: expected at most a layer for each of {weights.tensors:,} tensors in "
            f"{folder}, its configuration has {layers:,}"
        )
    if _positions(config) > TABLE + weights.numbers:
        raise InputError(f"checkpoint: expected a smaller table of positions in {folder}")


def _limit(name: str, weights: Weights) -> int:
    if name in SIDES:
        return LARGEST_SIDE
    counts = LAYERS.search(name) and not OTHER_LAYERS.search(name)
    return max(1, weights.tensors) if counts else LARGEST


def _whole_numbers(value: Any) -> Iterator[int]:
    """The numbers in a value and in the lists within it; what an object holds has names of its own."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, int):
            yield item
        elif isinstance(item, list):
            waiting.extend(item)


def _layers(config: Mapping[str, Any]) -> int:
    types = config.get("down_block_types")
    layers = len(types) if isinstance(types, list) else 1
    return layers * math.prod(_largest(config, name) for name in NESTED_LAYERS)


def _positions(config: Mapping[str, Any]) -> int:
    """How many numbers a transformer's table of positions has."""
    patch, *sides = (_largest(config, name, 0) for name in ("patch_size", *SIDES))
    width = _largest(config, "num_attention_heads") * _largest(config, "attention_head_dim")
    return (max(sides) // patch) ** 2 * width if patch else 0


def _largest(config: Mapping[str, Any], name: str, least: int = 1) -> int:
    """The largest whole number in a setting, and at least so much."""
    return max([least, *_whole_numbers(config.get(name))])


def require_as_many(network: torch.nn.Module, weights: Weights, folder: Path) -> None:
    """Refuse a network, built without memory, that has far more numbers than the files.

    Raises:
        InputError: it has.
    """
    numbers = sum(parameter.numel() for parameter in network.parameters())
    if numbers > FACTOR * weights.numbers + SLACK:
        raise InputError(
            f"checkpoint: {folder} describes a network of {numbers:,} numbers, its files hold "
            f"{weights.numbers:,}"
        )
