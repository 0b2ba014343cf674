"""diffusers pipelines of a class-conditional ``DiTTransformer2DModel`` on latents.

Peebles & Xie, "Scalable Diffusion Models with Transformers" (2023).
"""

from typing import Any

from diffusers import DiTTransformer2DModel
from torch import Tensor

from real.families.checkpoint import Checkpoint, Family, Source
from real.families.conditions import Labels
from real.families.diffusers.folder import is_a, network_folder, read_json, scheduler_config
from real.families.diffusers.network import identity, load_network, run, sample_shape
from real.families.diffusers.process import process_of
from real.families.diffusers.vae import codec, load_vae

NAME = "diffusers-dit"
PUBLISHED_AS = "Transformer2DModel"
"""The class that the published DiT folders name; it is a DiT if its norm is ada_norm_zero."""


def load(source: Source, device: Any) -> Checkpoint:
    """Load the transformer, its autoencoder and its noise schedule.

    Its labels are the classes; the one after the last stands for no class.

    Raises:
        InputError: files are missing or broken, prediction type or schedule is unknown.
    """
    config = scheduler_config(source.path)
    process = process_of(config)
    network = load_network(DiTTransformer2DModel, source.path, device)
    vae = load_vae(source.path / "vae", device)
    labels = Labels(network.config.num_embeds_ada_norm, network.config.num_embeds_ada_norm)

    def predict(x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        return run(
            network,
            x_t,
            t * process.time_scale,
            class_labels=labels(condition, len(x_t), network.device),
        )

    shape = sample_shape(network)
    return Checkpoint(
        reference=source.reference,
        family=NAME,
        predict=predict,
        schedule=process.schedule,
        target=process.target,
        shape=shape,
        conditions=labels.count,
        null_condition=labels.null,
        fingerprint=identity(network),
        scheduler_config=config,
        codec=codec(vae, shape),
        modules={"transformer": network, "vae": vae},
    )


def recognizes(source: Source) -> bool:
    """Whether a source is a folder of a DiT."""
    if is_a(source, PUBLISHED_AS):
        config = read_json(network_folder(source.path) / "config.json")
        return config.get("norm_type") == "ada_norm_zero"
    return is_a(source, "DiTTransformer2DModel")


FAMILY = Family(NAME, recognizes, load)
