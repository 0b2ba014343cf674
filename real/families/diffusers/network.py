"""diffusers' networks that denoise: load one, call one, tell who it is."""

import inspect
import json
from pathlib import Path
from typing import Any

from torch import Tensor

from real.families.diffusers.folder import load_part, network_folder
from theory.forward.fingerprints import fingerprint
from theory.support.errors import InputError


def load_network(kind: Any, folder: Path, device: Any) -> Any:
    """The network of a folder, in float32.

    Raises:
        InputError: files are missing or broken, weights and configuration do not belong together,
            neither as many nor twice as many channels come out as go in (twice: noise and
            variance), or its sample size is not known or no size.
    """
    network, unused = load_part(kind, network_folder(folder), device)
    if unused:
        raise InputError(
            f"checkpoint: cannot load the network in {folder}: its config has no place for the "
            f"weights {unused[0]}"
        )
    channels, out = network.config.in_channels, network.config.out_channels
    if out not in (None, channels, 2 * channels):
        raise InputError(
            f"checkpoint: expected a network with {channels} or {2 * channels} channels out, as "
            f"{channels} go in, got {out} in {folder}"
        )
    size = network.config.sample_size
    sides = size if isinstance(size, list | tuple) else [size, size]
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise InputError(
            f"checkpoint: expected a sample_size of one or two whole numbers in the network's config "
            f"in {folder}, got {size!r:.60}"
        )
    return network


def sample_shape(network: Any) -> tuple[int, int, int]:
    """(c, h, w) of what the network denoises."""
    size = network.config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    return network.config.in_channels, height, width


def run(network: Any, x_t: Tensor, t: Tensor, **conditioning: Any) -> Tensor:
    """The prediction without a learned variance, in the dtype and on the device of x_t (b, c, h, w)."""
    x = x_t.to(network.device, network.dtype)
    y = network(x, timestep=t.to(network.device), **conditioning).sample
    return y[:, : x_t.shape[1]].to(x_t)


def identity(network: Any) -> str:
    """Digest of a network's weights, as float32, and of its architecture.

    The architecture is the class, and what the configuration has other than the class's defaults:
    a version of diffusers with more settings gives the same digest.
    """
    parameters = inspect.signature(type(network).__init__).parameters
    defaults = _plain({name: parameter.default for name, parameter in parameters.items()})
    config = _plain({k: v for k, v in network.config.items() if k in parameters})
    chosen = {k: v for k, v in config.items() if v != defaults[k]}
    return fingerprint(
        ((name, tensor.float()) for name, tensor in network.state_dict().items()),
        type(network).__name__,
        json.dumps(chosen, sort_keys=True),
    )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(values, default=str))
