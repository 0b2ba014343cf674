"""diffusers pipelines of a ``UNet2DModel`` (DDPM, DDIM, PNDM, LDM...), class-conditional or not."""

from pathlib import Path
from typing import Any

from real.families.checkpoint import Checkpoint, Family, Source
from real.families.conditions import Labels, refuse_condition
from real.families.diffusers.folder import is_a, model_index, network_config
from real.families.diffusers.network import load_denoiser, sample_shape
from real.families.diffusers.vae import autoencoder_part, load_vae
from theory.support.errors import InputError

NAME = "diffusers-unet"
NETWORK = "UNet2DModel"


def load(source: Source, device: Any) -> Checkpoint:
    """Load the network and its noise schedule.

    The network lies in ``unet/`` or at the top, the scheduler's configuration in ``scheduler/`` or
    at the top. With an autoencoder in ``vae/`` or ``vqvae/`` it is a network on latents. Where
    ``null_class`` in model_index.json or in the network's config.json names the last class, that
    label stands for no class.

    Raises:
        InputError: files are missing or broken, or prediction type, schedule or kind of condition is
            unknown.
    """
    denoiser = load_denoiser(NETWORK, source, device)
    network, labels = denoiser.network, _labels(denoiser.network, source.path)
    part = autoencoder_part(source.path)
    vae = {"vae": load_vae(source.path / part, device)} if part else {}
    _require_halving(network, source.path)

    def conditioning(condition: Any, images: int) -> dict[str, Any]:
        """The label of each image; nothing for an unconditional network."""
        if labels:
            return {"class_labels": labels(condition, images, network.device)}
        refuse_condition(condition, source.reference)
        return {}

    classes, null = (labels.count, labels.null) if labels else (None, None)
    return denoiser.checkpoint(NAME, conditioning, {"unet": network, **vae}, classes, null)


def _require_halving(network: Any, folder: Path) -> None:
    times = len(network.config.block_out_channels) - 1
    if any(side % 2**times for side in sample_shape(network)[1:]):
        raise InputError(
            f"checkpoint: expected a sample_size that can be halved {times} times in {folder}, "
            f"got {network.config.sample_size}"
        )


def _labels(network: Any, folder: Path) -> Labels | None:
    kind, classes = network.config.class_embed_type, network.config.num_class_embeds
    if kind is not None:
        raise InputError(
            f"checkpoint: expected class labels (num_class_embeds) or none, {folder} is "
            f"conditioned by class_embed_type {kind!r}"
        )
    if classes is None:
        return None
    said = (model_index(folder), network_config(folder))
    null = next((s["null_class"] for s in said if s.get("null_class") is not None), None)
    if null not in (None, classes - 1):
        raise InputError(
            f"checkpoint: expected null_class {classes - 1}, the last one, got {null!r} in {folder}"
        )
    return Labels(classes if null is None else classes - 1, null)


FAMILY = Family(NAME, lambda source: is_a(source, NETWORK), load)
