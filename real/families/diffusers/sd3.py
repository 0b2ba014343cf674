"""diffusers pipelines of a text-conditional ``SD3Transformer2DModel`` on latents, by flow matching.

Its timestep is 1000 times the time of the rectified flow x_t = (1 - t) x_0 + t e, and it predicts
the velocity e - x_0. Esser et al., "Scaling Rectified Flow Transformers" (2024).
"""

from typing import Any

from diffusers import SD3Transformer2DModel
from torch import Tensor

from real.families.checkpoint import Checkpoint, Family, Source
from real.families.conditions import Encoding, Texts
from real.families.diffusers.folder import is_a, quiet, scheduler_config
from real.families.diffusers.network import identity, load_network, run, sample_shape
from real.families.diffusers.process import process_of
from real.families.diffusers.text import load_text_parts, text_modules
from real.families.diffusers.vae import codec, load_vae
from theory.support.errors import InputError

NAME = "diffusers-sd3"


def load(source: Source, device: Any) -> Checkpoint:
    """Load the transformer, its text encoders, its autoencoder and its noise schedule.

    The third text encoder (T5) may be absent: the network is then given zeros in its place, as its
    own pipeline does. The empty text stands for no condition.

    Raises:
        InputError: files are missing or broken, or a CLIP text encoder is absent.
    """
    folder = source.path
    config = scheduler_config(folder)
    process = process_of(config)
    network = load_network(SD3Transformer2DModel, folder, device)
    vae = load_vae(folder / "vae", device)
    parts = load_text_parts(folder, device)
    texts = Texts(_encoder(network, vae, parts))

    def predict(x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        sequence, pooled = texts(condition, len(x_t), network.device)
        return run(
            network, x_t, t * process.time_scale,
            encoder_hidden_states=sequence, pooled_projections=pooled,
        )  # fmt: skip

    shape = sample_shape(network)
    return Checkpoint(
        reference=source.reference,
        family=NAME,
        predict=predict,
        schedule=process.schedule,
        target=process.target,
        shape=shape,
        conditions="text",
        null_condition="",
        fingerprint=identity(network),
        scheduler_config=config,
        codec=codec(vae, shape),
        modules={"transformer": network, "vae": vae, **text_modules(parts)},
    )


def _encoder(network: Any, vae: Any, parts: dict[str, Any]) -> Any:
    from diffusers import StableDiffusion3Pipeline

    absent = {"text_encoder", "text_encoder_2"} - set(text_modules(parts))
    if absent:
        raise InputError(f"checkpoint: expected {' and '.join(sorted(absent))} for an SD3 network")
    missing = {"text_encoder_3": None, "tokenizer_3": None}
    pipeline = StableDiffusion3Pipeline(
        transformer=network, vae=vae, scheduler=None, **(missing | parts)
    )

    def encode(text: str) -> Encoding:
        with quiet():
            sequence, _, pooled, _ = pipeline.encode_prompt(
                text, text, text, device=network.device, do_classifier_free_guidance=False
            )
        return sequence, pooled

    return encode


FAMILY = Family(NAME, lambda source: is_a(source, "SD3Transformer2DModel"), load)
