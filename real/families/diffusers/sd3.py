"""diffusers pipelines of a text-conditional ``SD3Transformer2DModel`` on latents, by flow matching.

Its timestep is 1000 times the time of the rectified flow x_t = (1 - t) x_0 + t e, and it predicts
the velocity e - x_0. Esser et al., "Scaling Rectified Flow Transformers" (2024).
"""

from collections.abc import Callable
from typing import Any

from real.families.checkpoint import Checkpoint, Family, Source
from real.families.conditions import Encoding, Texts
from real.families.diffusers.folder import is_a
from real.families.diffusers.network import load_denoiser
from real.families.diffusers.text import encoded, load_text_parts, text_modules
from real.families.diffusers.vae import load_vae
from theory.support.errors import InputError

NAME = "diffusers-sd3"
NETWORK = "SD3Transformer2DModel"


def load(source: Source, device: Any) -> Checkpoint:
    """Load the transformer, its text encoders, its autoencoder and its noise schedule.

    Without the third text encoder (T5) the network is given zeros in its place, as by its own
    pipeline. The empty text stands for no condition.

    Raises:
        InputError: files are missing or broken, or a CLIP text encoder is absent.
    """
    denoiser = load_denoiser(NETWORK, source, device)
    network, vae = denoiser.network, load_vae(source.path / "vae", device)
    parts = load_text_parts(source.path, device)
    texts = Texts(_encoder(network, vae, parts))

    def conditioning(condition: Any, images: int) -> dict[str, Any]:
        """The text of each image, as a sequence and pooled."""
        sequence, pooled = texts(condition, images, network.device)
        return {"encoder_hidden_states": sequence, "pooled_projections": pooled}

    modules = {"transformer": network, "vae": vae, **text_modules(parts)}
    return denoiser.checkpoint(NAME, conditioning, modules, "text", "")


def _encoder(network: Any, vae: Any, parts: dict[str, Any]) -> Callable[[str], Encoding]:
    from diffusers import StableDiffusion3Pipeline

    absent = {"text_encoder", "text_encoder_2"} - set(text_modules(parts))
    if absent:
        raise InputError(f"checkpoint: expected {' and '.join(sorted(absent))} for an SD3 network")
    missing = {"text_encoder_3": None, "tokenizer_3": None}
    pipeline = StableDiffusion3Pipeline(
        transformer=network, vae=vae, scheduler=None, **(missing | parts)
    )
    return lambda text: encoded(pipeline, network.device, text, text, text)


FAMILY = Family(NAME, lambda source: is_a(source, NETWORK), load)
