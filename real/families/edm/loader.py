"""Load EDM pickles: SongUNet and DhariwalUNet under VP, VE, iDDPM or EDM preconditioning.

Such a file is a pickled dictionary whose ``ema`` is a persistent object of one of the four
preconditionings (NVlabs/edm; Karras et al., "Elucidating the Design Space", 2022).

The schedule is EDM's, x_t = x_0 + sigma e with t = sigma; the prediction is the denoised image
D(x_t; sigma, label), target DATA, of images in [-1, 1].
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from real.families.checkpoint import Checkpoint, Family, Source
from real.families.conditions import Labels, refuse_condition
from real.families.edm.dhariwal_unet import DhariwalUNet
from real.families.edm.preconditioning import (
    EDMPreconditioned,
    IDDPMPreconditioned,
    Preconditioned,
    VEPreconditioned,
    VPPreconditioned,
)
from real.families.edm.song_unet import SongUNet
from real.files.network_pickles import PickledObject
from real.files.state_dicts import with_weights
from theory.diffusion.schedules import EDM
from theory.diffusion.targets import DATA
from theory.forward.fingerprints import fingerprint
from theory.support.errors import InputError

NAME = "edm"
COMMON = ("img_resolution", "img_channels", "label_dim", "use_fp16")
ORDER = {
    "VPPrecond": (*COMMON, "beta_d", "beta_min", "M", "epsilon_t", "model_type"),
    "VEPrecond": (*COMMON, "sigma_min", "sigma_max", "model_type"),
    "iDDPMPrecond": (*COMMON, "C_1", "C_2", "M", "model_type"),
    "EDMPrecond": (*COMMON, "sigma_min", "sigma_max", "sigma_data", "model_type"),
}
"""Arguments of upstream's constructors in their order, for files that hold them without names."""

PRECONDITIONINGS: dict[str, tuple[type[Preconditioned], str]] = {
    "VPPrecond": (VPPreconditioned, "SongUNet"),
    "VEPrecond": (VEPreconditioned, "SongUNet"),
    "iDDPMPrecond": (IDDPMPreconditioned, "DhariwalUNet"),
    "EDMPrecond": (EDMPreconditioned, "DhariwalUNet"),
}
"""By upstream's class: our class, and the network that it has by default."""

MODELS: dict[str, Callable[..., nn.Module]] = {"SongUNet": SongUNet, "DhariwalUNet": DhariwalUNet}
WITHOUT_EFFECT = {"use_fp16", "C_1", "C_2", "dropout", "label_dropout"}
"""Arguments without effect on a stored network in evaluation mode."""

SIGMA_RANGE = (0.002, 80.0)
"""Noise levels of EDM's samplers, for a network that sets no limits itself."""


def has_ema(source: Source, class_names: Any) -> bool:
    """Whether a file is a pickled dictionary with an ``ema`` of one of these classes."""
    ema = source.content.get("ema") if isinstance(source.content, dict) else None
    return isinstance(ema, PickledObject) and ema.class_name in class_names


def load(source: Source, device: Any) -> Checkpoint:
    """The network under ``ema``.

    Conditions are integer labels (b,) from 0 to the number of classes. That number itself means no
    class, as does None: the network is then given zeros in place of a one-hot vector.

    Raises:
        InputError: arguments or tensors are missing, left over, or do not fit.
    """
    ema = named_arguments(source, ORDER)
    network = with_weights(partial(_build, ema), ema.state, ema.class_name)
    return denoiser_checkpoint(source, NAME, network, ema, device)


def denoiser_checkpoint(
    source: Source, family: str, network: Preconditioned, ema: PickledObject, device: Any
) -> Checkpoint:
    """The checkpoint of a denoiser.

    Args:
        source: the file.
        family: name of its family.
        network: D(x, sigma, one-hot labels or None).
        ema: the pickled network, which names its constructor's arguments.
        device: where the network runs.

    Raises:
        InputError: the arguments do not tell the shape of the images.
    """
    channels, resolution = (_whole(ema, key) for key in ("img_channels", "img_resolution"))
    classes = _whole(ema, "label_dim", 0)
    network, (low, high) = network.to(device), network.sigma_range

    def predict(x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        """The denoised images (b, c, r, r) at noise levels t (b,)."""
        place = next(network.parameters()).device
        if not classes:
            refuse_condition(condition, source.reference)
        labels = one_hot(condition, classes, len(x_t)).to(place) if classes else None
        return network(x_t.to(place), t.to(place), labels).to(x_t)

    return Checkpoint(
        reference=source.reference, family=family, predict=predict,
        schedule=EDM(low or SIGMA_RANGE[0], high if high < math.inf else SIGMA_RANGE[1]),
        target=DATA, shape=(channels, resolution, resolution), conditions=classes or None,
        null_condition=classes or None,
        fingerprint=fingerprint(ema.state.items(), ema.class_name, _as_text(ema.kwargs)),
        modules={"denoiser": network},
    )  # fmt: skip


def one_hot(condition: Any, classes: int, images: int) -> Tensor:
    """Labels (images,) as one-hot (images, classes) in float32; zeros for no class.

    Raises:
        InputError: the condition is no label for each image.
    """
    labels = Labels(classes, classes)(condition, images, "cpu")
    return F.one_hot(labels, classes + 1)[:, :classes].float()


def named_arguments(source: Source, order: Mapping[str, Sequence[str]]) -> PickledObject:
    """The network under ``ema``, with a name for every argument of its constructor.

    ``order`` has the names of the constructor's arguments in their order, by class.

    Raises:
        InputError: the network is of another family, or has too many arguments or one twice.
    """
    if not has_ema(source, order):
        raise InputError(
            f"checkpoint: {source.reference} is of another family: expected an ema of a class "
            f"{', '.join(order)}"
        )
    ema = source.content["ema"]
    names = order[ema.class_name][: len(ema.args)]
    if len(names) < len(ema.args) or set(names) & ema.kwargs.keys():
        raise InputError(
            f"checkpoint: {ema.class_name} is made from other arguments than upstream's"
        )
    return replace(ema, args=(), kwargs={**dict(zip(names, ema.args, strict=True)), **ema.kwargs})


def _build(ema: PickledObject) -> Preconditioned:
    kind, model_type = PRECONDITIONINGS[ema.class_name]
    arguments = {k: v for k, v in constructor_arguments(ema).items() if k not in WITHOUT_EFFECT}
    model = MODELS.get(arguments.pop("model_type", model_type))
    if model is None:
        raise InputError(
            f"checkpoint: expected model_type {' or '.join(MODELS)}, got {ema.kwargs['model_type']!r}"
        )
    channels = arguments.pop("img_channels")
    own = arguments.keys() & set(ORDER[ema.class_name]) - set(COMMON)
    preconditioning = {key: arguments.pop(key) for key in own}
    out_channels = 2 * channels if kind is IDDPMPreconditioned else channels
    return kind(
        model(in_channels=channels, out_channels=out_channels, **arguments), **preconditioning
    )


def constructor_arguments(ema: PickledObject) -> dict[str, Any]:
    """The keyword arguments of a network's constructor, if they are plausible.

    Raises:
        InputError: they ask for more blocks than there are tensors.
    """
    blocks, levels = ema.kwargs.get("num_blocks", 0), ema.kwargs.get("channel_mult", ())
    fits = isinstance(blocks, int) and isinstance(levels, list | tuple)
    if not fits or blocks * len(levels) > len(ema.state):
        raise InputError(
            f"checkpoint: expected at most one block for each of {len(ema.state)} tensors, "
            f"got num_blocks={blocks!r:.40}, channel_mult={levels!r:.40}"
        )
    return dict(ema.kwargs)


def _whole(ema: PickledObject, key: str, default: int | None = None) -> int:
    value = ema.kwargs.get(key, default)
    if not isinstance(value, int) or value < 0:
        raise InputError(f"checkpoint: expected {ema.class_name} to have {key}, got {value!r:.40}")
    return value


def _as_text(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, sort_keys=True, default=repr)


FAMILY = Family(NAME, lambda source: has_ema(source, PRECONDITIONINGS), load)
