"""diffusers pipelines of a text-conditional ``UNet2DConditionModel`` on latents: Stable Diffusion.

Versions 1 and 2 have one CLIP text encoder, XL has two and is also told the size of the image.
Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022); Podell et
al., "SDXL" (2023).
"""

from pathlib import Path
from typing import Any

import torch

from real.families.checkpoint import Checkpoint, Family, Source
from real.families.conditions import Encoding, Texts
from real.families.diffusers.folder import is_a, model_index, quiet
from real.families.diffusers.network import Conditioning, load_denoiser, sample_shape
from real.families.diffusers.text import encoded, load_text_parts, text_modules
from real.families.diffusers.vae import load_vae
from theory.support.errors import InputError

NAME = "diffusers-text-unet"
NETWORK = "UNet2DConditionModel"
OTHER_CONDITIONS = (
    "class_embed_type", "num_class_embeds", "encoder_hid_dim_type", "time_cond_proj_dim",
)  # fmt: skip
SIZES = 6
"""Numbers that XL is given: height and width of the original, top and left of the crop, both again."""


def load(source: Source, device: Any) -> Checkpoint:
    """Load the network, its text encoders, its autoencoder and its noise schedule.

    The empty text stands for no condition. Where an XL pipeline says so
    (``force_zeros_for_empty_prompt``) the network is given zeros for it, as by its own pipeline.

    Raises:
        InputError: files are missing or broken, or the network is conditioned by anything else than
            text (and for XL, sizes).
    """
    denoiser, folder = load_denoiser(NETWORK, source, device), source.path
    network = denoiser.network
    _require_text(network, folder)
    vae = load_vae(folder / "vae", device)
    parts = load_text_parts(folder, device)
    if network.config.addition_embed_type is None:
        conditioning = _plain_conditioning(network, vae, parts)
    else:
        conditioning = _xl_conditioning(network, vae, parts, folder)
    modules = {"unet": network, "vae": vae, **text_modules(parts)}
    return denoiser.checkpoint(NAME, conditioning, modules, "text", "")


def _require_text(network: Any, folder: Path) -> None:
    for key in OTHER_CONDITIONS:
        if network.config[key] is not None:
            raise InputError(
                f"checkpoint: expected a network conditioned by text alone, {folder} has "
                f"{key} {network.config[key]!r}"
            )
    kind = network.config.addition_embed_type
    if kind not in (None, "text_time"):
        raise InputError(
            f"checkpoint: expected addition_embed_type text_time (SDXL) or none, got {kind!r} in "
            f"{folder}"
        )


def _plain_conditioning(network: Any, vae: Any, parts: dict[str, Any]) -> Conditioning:
    from diffusers import StableDiffusionPipeline

    _require_parts(parts, "text_encoder")
    pipeline = StableDiffusionPipeline(
        unet=network, vae=vae, scheduler=None, safety_checker=None, feature_extractor=None,
        requires_safety_checker=False, **parts,
    )  # fmt: skip

    def encode(text: str) -> Encoding:
        """The sequence of a text, as the pipeline encodes it."""
        with quiet():
            return pipeline.encode_prompt(text, network.device, 1, False)[:1]

    texts = Texts(encode)
    return lambda condition, images: {
        "encoder_hidden_states": texts(condition, images, network.device)[0]
    }


def _xl_conditioning(network: Any, vae: Any, parts: dict[str, Any], folder: Path) -> Conditioning:
    from diffusers import StableDiffusionXLPipeline

    _require_parts(parts, "text_encoder", "text_encoder_2")
    _require_sizes(network, parts["text_encoder_2"].config.projection_dim, folder)
    zeros = model_index(folder).get("force_zeros_for_empty_prompt", True)
    pipeline = StableDiffusionXLPipeline(
        unet=network, vae=vae, scheduler=None, force_zeros_for_empty_prompt=zeros,
        add_watermarker=False, **parts,
    )  # fmt: skip
    size = [side * pipeline.vae_scale_factor for side in sample_shape(network)[1:]]
    sizes = torch.tensor([*size, 0, 0, *size], dtype=network.dtype, device=network.device)

    def encode(text: str) -> Encoding:
        """The sequence and the pooled vector of a text; zeros for the empty one."""
        sequence, pooled = encoded(pipeline, network.device, text)
        absent = zeros and text == ""
        return (0 * sequence, 0 * pooled) if absent else (sequence, pooled)

    texts = Texts(encode)

    def conditioning(condition: Any, images: int) -> dict[str, Any]:
        """The text of each image, as a sequence and pooled, and the sizes."""
        sequence, pooled = texts(condition, images, network.device)
        added = {"text_embeds": pooled, "time_ids": sizes.expand(images, -1)}
        return {"encoder_hidden_states": sequence, "added_cond_kwargs": added}

    return conditioning


def _require_parts(parts: dict[str, Any], *names: str) -> None:
    got = sorted(text_modules(parts))
    if got != sorted(names):
        raise InputError(
            f"checkpoint: expected {' and '.join(names)} for this network, got {', '.join(got)}"
        )


def _require_sizes(network: Any, pooled: int, folder: Path) -> None:
    expected = network.config.projection_class_embeddings_input_dim
    if expected != SIZES * network.config.addition_time_embed_dim + pooled:
        raise InputError(
            f"checkpoint: expected a network told {SIZES} sizes and a pooled text of width "
            f"{pooled} (SDXL base), {folder} has projection_class_embeddings_input_dim {expected}"
        )


FAMILY = Family(NAME, lambda source: is_a(source, NETWORK), load)
