"""diffusers pipelines of a ``UNet2DModel`` (DDPM, DDIM, PNDM, LDM...), class-conditional or not."""

from pathlib import Path
from typing import Any

from diffusers import UNet2DModel
from torch import Tensor

from real.families.checkpoint import Checkpoint, Family, Source
from real.families.conditions import Labels, refuse_condition
from real.families.diffusers.folder import (
    is_a,
    model_index,
    network_folder,
    read_json,
    scheduler_config,
)
from real.families.diffusers.network import identity, load_network, run, sample_shape
from real.families.diffusers.process import process_of
from real.families.diffusers.vae import autoencoder_part, codec, load_vae
from theory.support.errors import InputError

NAME = "diffusers-unet"


def load(source: Source, device: Any) -> Checkpoint:
    """Load the network and its noise schedule.

    The network lies in ``unet/`` or at the top, the scheduler's configuration in ``scheduler/`` or
    at the top. With an autoencoder in ``vae/`` or ``vqvae/`` it is a network on latents. Where
    ``null_class`` in model_index.json or in the network's config.json names the last class, that
    label stands for no class.

    Raises:
        InputError: files are missing or broken; prediction type, schedule or kind of condition is
            unknown.
    """
    config = scheduler_config(source.path)
    process = process_of(config)
    network = load_network(UNet2DModel, source.path, device)
    labels = _labels(network, source.path)
    vae = _autoencoder(source.path, device)
    shape = sample_shape(network)
    _require_halving(network, shape, source.path)

    def predict(x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        if labels is None:
            refuse_condition(condition, source.reference)
            return run(network, x_t, t * process.time_scale)
        return run(
            network,
            x_t,
            t * process.time_scale,
            class_labels=labels(condition, len(x_t), network.device),
        )

    return Checkpoint(
        reference=source.reference,
        family=NAME,
        predict=predict,
        schedule=process.schedule,
        target=process.target,
        shape=shape,
        conditions=labels.count if labels else None,
        null_condition=labels.null if labels else None,
        fingerprint=identity(network),
        scheduler_config=config,
        codec=codec(vae, shape) if vae else None,
        modules={"unet": network} | ({"vae": vae} if vae else {}),
    )


def _require_halving(network: UNet2DModel, shape: tuple[int, ...], folder: Path) -> None:
    times = len(network.config.block_out_channels) - 1
    if any(side % 2**times for side in shape[1:]):
        raise InputError(
            f"checkpoint: expected a sample_size that can be halved {times} times in {folder}, "
            f"got {network.config.sample_size}"
        )


def _autoencoder(folder: Path, device: Any) -> Any:
    part = autoencoder_part(folder)
    return load_vae(folder / part, device) if part else None


def _labels(network: UNet2DModel, folder: Path) -> Labels | None:
    kind, classes = network.config.class_embed_type, network.config.num_class_embeds
    if kind is not None:
        raise InputError(
            f"checkpoint: expected class labels (num_class_embeds) or none, {folder} is "
            f"conditioned by class_embed_type {kind!r}"
        )
    if classes is None:
        return None
    said = (model_index(folder), read_json(network_folder(folder) / "config.json"))
    null = next((s["null_class"] for s in said if s.get("null_class") is not None), None)
    if null not in (None, classes - 1):
        raise InputError(
            f"checkpoint: expected null_class {classes - 1}, the last one, got {null!r} in {folder}"
        )
    return Labels(classes if null is None else classes - 1, null)


FAMILY = Family(NAME, lambda source: is_a(source, "UNet2DModel"), load)
