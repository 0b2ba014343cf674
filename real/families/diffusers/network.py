"""What the diffusers families have in common: their networks, and the checkpoints made of them."""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from real.families.checkpoint import Checkpoint, Source
from real.families.diffusers.folder import load_part, network_part, scheduler_config
from real.families.diffusers.process import Process, process_of
from real.families.diffusers.vae import codec_of
from theory.forward.fingerprints import fingerprint
from theory.support.errors import InputError

Conditioning = Callable[[Any, int], dict[str, Any]]
"""(condition, number of images) -> the network's arguments besides x_t and t."""


@dataclass(frozen=True)
class Denoiser:
    """The network of a diffusers folder, and the noise process that it was trained for.

    Attributes:
        source: the folder.
        config: of its scheduler.
        process: what that configuration describes.
        network: in float32, on its device.
    """

    source: Source
    config: Mapping[str, Any]
    process: Process
    network: Any

    def checkpoint(
        self,
        family: str,
        conditioning: Conditioning,
        modules: Mapping[str, Any],
        conditions: int | Literal["text"] | None,
        null_condition: int | str | None,
    ) -> Checkpoint:
        """The checkpoint of this network.

        Args:
            family: name of its family.
            conditioning: the arguments that the network is given for a condition.
            modules: all networks by name; one named ``vae`` makes this a network on latents.
            conditions, null_condition: as of ``Checkpoint``.
        """
        shape = sample_shape(self.network)
        vae = modules.get("vae")

        def predict(x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
            """The prediction (b, c, h, w), without a learned variance, at x_t and times t (b,)."""
            arguments = conditioning(condition, len(x_t))
            x = x_t.to(self.network.device, self.network.dtype)
            timestep = (t * self.process.time_scale).to(self.network.device)
            y = self.network(x, timestep=timestep, **arguments).sample
            return y[:, : x_t.shape[1]].to(x_t)

        return Checkpoint(
            reference=self.source.reference, family=family, predict=predict,
            schedule=self.process.schedule, target=self.process.target, shape=shape,
            conditions=conditions, null_condition=null_condition,
            fingerprint=network_fingerprint(self.network), scheduler_config=self.config,
            codec=codec_of(vae, shape) if vae is not None else None, modules=modules,
        )  # fmt: skip


def load_denoiser(kind: str, source: Source, device: Any) -> Denoiser:
    """The network of a folder, of a class of diffusers, and its noise process.

    Raises:
        InputError: files are missing or broken; prediction type or schedule is unknown; weights and
            configuration do not belong together; the network returns neither as many channels as it
            takes nor twice as many (noise and variance); its sample size is no size.
    """
    import diffusers

    folder = source.path
    config = scheduler_config(folder)
    process = process_of(config)
    part = folder / network_part(folder)
    network, unused = load_part(getattr(diffusers, kind), part, device)
    if unused:
        raise InputError(
            f"checkpoint: cannot load the network in {folder}: its config has no place for the "
            f"weights {unused[0]}"
        )
    _require_channels(network, folder)
    _require_sides(network, folder)
    return Denoiser(source, config, process, network)


def _require_channels(network: Any, folder: Path) -> None:
    channels, out = network.config.in_channels, network.config.out_channels
    if out not in (None, channels, 2 * channels):
        raise InputError(
            f"checkpoint: expected a network with {channels} or {2 * channels} channels out, as "
            f"{channels} go in, got {out} in {folder}"
        )


def _require_sides(network: Any, folder: Path) -> None:
    size = network.config.sample_size
    sides = size if isinstance(size, list | tuple) else [size, size]
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise InputError(
            f"checkpoint: expected a sample_size of one or two whole numbers in the network's config "
            f"in {folder}, got {size!r:.60}"
        )


def sample_shape(network: Any) -> tuple[int, int, int]:
    """(c, h, w) of the images or latents that a network denoises."""
    size = network.config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    return network.config.in_channels, height, width


def network_fingerprint(network: Any) -> str:
    """Digest of a network's weights, as float32, and of its architecture.

    The architecture is the class together with those settings that differ from the class's defaults:
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
