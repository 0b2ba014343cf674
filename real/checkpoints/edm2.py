"""EDM2 pickles: the magnitude-preserving U-Net (NVlabs/edm2; Karras et al. 2024).

Such a file is a pickled dictionary whose ``ema`` is a persistent object of the class ``Precond``.
Schedule, target and conditions are those of ``real.checkpoints.edm``. Weights keep the 16 bits
that published files store them in; as upstream, they are normalized in float32.

Networks for 512 x 512 images work on latents (4, 64, 64): the shape is that of the latents, and
the file does not hold the autoencoder.
"""

from dataclasses import fields
from functools import partial
from typing import Any

from real.checkpoints.base import Checkpoint, Family, Source
from real.checkpoints.edm import SIGMA_RANGE, constructor, denoiser, is_network
from real.checkpoints.unpickling import Stored
from real.networks.edm2_unet import MPBlockStyle, MPDenoiser, MPUNet
from real.networks.weights import filled
from theory.schedules import EDM

CLASS_NAMES = {"Precond"}
WITHOUT_EFFECT = {"use_fp16", "dropout"}
"""Arguments that change nothing when a stored network is run in evaluation mode."""


def load(source: Source, device: Any) -> Checkpoint:
    """The network under ``ema``.

    Raises:
        InputError: arguments or tensors are missing, left over, or do not fit.
    """
    ema = source.content["ema"]
    network = filled(partial(_build, ema), ema.state, ema.class_name)
    return denoiser(source, "edm2", network, ema, EDM(*SIGMA_RANGE), device)


def _build(ema: Stored) -> MPDenoiser:
    arguments = {k: v for k, v in constructor(ema).items() if k not in WITHOUT_EFFECT}
    outer = _taken(arguments, ("sigma_data", "logvar_channels"))
    style = _taken(arguments, tuple(field.name for field in fields(MPBlockStyle)))
    return MPDenoiser(MPUNet(style=MPBlockStyle(**style), **arguments), **outer)


def _taken(arguments: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: arguments.pop(name) for name in names if name in arguments}


FAMILY = Family("edm2", lambda source: is_network(source, CLASS_NAMES), load)
