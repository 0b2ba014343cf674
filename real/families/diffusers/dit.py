"""diffusers pipelines of a class-conditional ``DiTTransformer2DModel`` on latents.

Peebles & Xie, "Scalable Diffusion Models with Transformers" (2023).
"""

from typing import Any

from real.families.checkpoint import Checkpoint, Family, Source
from real.families.conditions import Labels
from real.families.diffusers.folder import is_a, network_config
from real.families.diffusers.network import load_denoiser
from real.families.diffusers.vae import load_vae

NAME = "diffusers-dit"
NETWORK = "DiTTransformer2DModel"
PUBLISHED_AS = "Transformer2DModel"
"""The class that the published DiT folders name; such a folder is a DiT if its norm is ada_norm_zero."""


def load(source: Source, device: Any) -> Checkpoint:
    """Load the transformer, its autoencoder and its noise schedule.

    Labels are 0 to classes - 1; the label ``classes`` stands for no class.

    Raises:
        InputError: files are missing or broken, or prediction type or schedule is unknown.
    """
    denoiser = load_denoiser(NETWORK, source, device)
    network, vae = denoiser.network, load_vae(source.path / "vae", device)
    classes = network.config.num_embeds_ada_norm
    labels = Labels(classes, null=classes)

    def conditioning(condition: Any, images: int) -> dict[str, Any]:
        """The label of each image."""
        return {"class_labels": labels(condition, images, network.device)}

    modules = {"transformer": network, "vae": vae}
    return denoiser.checkpoint(NAME, conditioning, modules, classes, classes)


def _recognizes(source: Source) -> bool:
    if is_a(source, PUBLISHED_AS):
        return network_config(source.path).get("norm_type") == "ada_norm_zero"
    return is_a(source, NETWORK)


FAMILY = Family(NAME, _recognizes, load)
