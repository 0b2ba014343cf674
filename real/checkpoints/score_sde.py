"""score_sde_pytorch ``.pth`` files: continuous NCSN++ and DDPM++ under VP, sub-VP and VE SDEs.

Such a file is a dictionary with ``model`` (names start with ``module.``) and ``ema``, whose
``shadow_params`` are the averaged weights without names, in the order of the model's
(yang-song/score_sde_pytorch; Song et al., "Score-Based Generative Modeling through SDEs", 2021).
What the file does not say comes from a JSON beside it, or from a preset (``PRESETS``):

    {"config": {"training": {...}, "data": {...}, "model": {...}}}    upstream's configuration
    {"config": "cifar10-ddpmpp-vp"}                                   the name of a preset

Images are in [-1, 1]. What is predicted:

    VP, sub-VP    the noise e, network(x_t, 999 t); schedules ``VPLinear`` and ``SubVP``.
    VE            the score, network(x_t, sigma_t); schedule ``VEGeometric``. Upstream's images are
                  in [0, 1], where noise levels are half as great and scores twice as great: the
                  schedule has 2 sigma, and the network's output at sigma is divided by 2.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from real.checkpoints.base import Checkpoint, Family, Source
from real.checkpoints.presets import LARGEST_SIDE
from real.networks.ncsnpp import NCSNpp
from real.networks.weights import filled
from real.reading import line
from theory.errors import InputError
from theory.identity import fingerprint
from theory.schedules import Schedule, SubVP, VEGeometric, VPLinear
from theory.targets import NOISE, SCORE

EARLIEST = 1e-5
"""The least time that upstream trains at."""

EXPECTED = {
    "name": "ncsnpp",
    "resblock_type": "biggan",
    "nonlinearity": "swish",
    "conditional": True,
}
"""Of upstream's model configuration; published NCSN++ and DDPM++ networks have no other."""


@dataclass(frozen=True)
class Settings:
    """What a network of this family is made from.

    Attributes:
        sde: "vpsde", "subvpsde" or "vesde".
        centered: whether it was trained on images in [-1, 1], rather than [0, 1].
        limits: beta_min and beta_max, or sigma_min and sigma_max for VE.
        network: arguments of ``NCSNpp`` but the length of its table.
    """

    sde: str
    centered: bool
    limits: tuple[float, float]
    network: Mapping[str, Any]

    @property
    def image_scale(self) -> float:
        """Length of a unit of the network's images in those of [-1, 1]."""
        return 1.0 if self.centered else 2.0

    def schedule(self) -> Schedule:
        """The schedule of images in [-1, 1]."""
        low, high = self.limits
        if self.sde == "vesde":
            scale = self.image_scale
            return VEGeometric(scale * low, scale * high, t_min=EARLIEST)
        return (VPLinear if self.sde == "vpsde" else SubVP)(low, high, t_min=EARLIEST)


def _cifar10(sde: str, kind: str, blocks: int) -> Settings:
    ncsnpp, exploding = kind == "ncsnpp", sde == "vesde"
    network = {
        "image_size": 32, "num_channels": 3, "nf": 128, "ch_mult": (1, 2, 2, 2),
        "num_res_blocks": blocks, "attn_resolutions": (16,), "skip_rescale": True,
        "taps": (1, 3, 3, 1) if ncsnpp else (1, 1),
        "embedding_type": "fourier" if exploding else "positional",
        "progressive": "none", "progressive_input": "residual" if ncsnpp else "none",
        "progressive_combine": "sum", "scale_by_sigma": exploding,
    }  # fmt: skip
    return Settings(sde, not exploding, (0.01, 50.0) if exploding else (0.1, 20.0), network)


def _large(size: int, sigma_max: float) -> Settings:
    wide = size == 1024
    network = {
        "image_size": size, "num_channels": 3, "nf": 16 if wide else 128,
        "ch_mult": (1, 2, 4, 8, 16, 32, 32, 32) if wide else (1, 1, 2, 2, 2, 2, 2),
        "num_res_blocks": 1 if wide else 2, "attn_resolutions": (16,), "skip_rescale": True,
        "taps": (1, 3, 3, 1), "embedding_type": "fourier", "progressive": "output_skip",
        "progressive_input": "input_skip", "progressive_combine": "sum", "scale_by_sigma": True,
    }  # fmt: skip
    return Settings("vesde", False, (0.01, sigma_max), network)


PRESETS: dict[str, Settings] = {
    **{
        f"cifar10-{kind}{'-deep' if blocks == 8 else ''}-{sde.removesuffix('sde')}": _cifar10(
            sde, kind, blocks
        )
        for kind, sdes in (
            ("ddpmpp", ("vpsde", "subvpsde")),
            ("ncsnpp", ("vpsde", "subvpsde", "vesde")),
        )
        for blocks in (4, 8)
        for sde in sdes
    },
    "celebahq-or-ffhq-256-ncsnpp-ve": _large(256, 348.0),
    "bedroom-256-ncsnpp-ve": _large(256, 378.0),
    "church-256-ncsnpp-ve": _large(256, 380.0),
    "celebahq-or-ffhq-1024-ncsnpp-ve": _large(1024, 1348.0),
}
"""Published continuous networks, from upstream's configurations."""


def recognizes(source: Source) -> bool:
    """Whether a file has a ``model`` with score_sde's table of noise levels and list of layers."""
    model = source.content.get("model") if isinstance(source.content, dict) else None
    names = {str(name).removeprefix("module.") for name in model} if isinstance(model, dict) else ()
    return "sigmas" in names and any(name.startswith("all_modules.") for name in names)


def load(source: Source, device: Any) -> Checkpoint:
    """The network with its averaged weights.

    Raises:
        InputError: of another family, no averaged weights, no configuration, or one that does not
            fit.
    """
    if not recognizes(source):
        raise InputError(
            f"checkpoint: {source.reference} is of another family: it has no model with sigmas and "
            "all_modules"
        )
    state = _averaged(source.content)
    settings = _settings(source, state)
    network = _network(settings, state).to(device)
    schedule, scale = settings.schedule(), settings.image_scale
    exploding = settings.sde == "vesde"

    def predict(x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        if condition is not None:
            raise InputError(
                f"checkpoint: {source.reference} is unconditional, it takes no condition"
            )
        like = next(network.parameters())
        label = schedule.sigma(t) / scale if exploding else 999 * t
        output = network(x_t.to(like), label.to(like.device, torch.float32))
        return (output / scale if exploding else output).to(x_t)

    return Checkpoint(
        reference=source.reference,
        family="score_sde",
        predict=predict,
        schedule=schedule,
        target=SCORE if exploding else NOISE,
        shape=(settings.network["num_channels"], *2 * (settings.network["image_size"],)),
        conditions=None,
        fingerprint=fingerprint(
            state.items(), settings.sde, str(settings.centered), str(settings.limits),
            json.dumps(dict(settings.network), sort_keys=True),
        ),
        modules={"ncsnpp": network},
    )  # fmt: skip


def _network(settings: Settings, state: Mapping[str, Tensor]) -> NCSNpp:
    blocks, levels = settings.network["num_res_blocks"], settings.network["ch_mult"]
    if blocks * len(levels) > len(state):
        raise InputError(
            f"checkpoint: expected at most one block for each of {len(state)} tensors, "
            f"got {str(blocks)[:40]} in each of {len(levels)} levels"
        )
    scales = state["sigmas"].numel()
    return filled(lambda: NCSNpp(num_scales=scales, **settings.network), state, "the network")


def _averaged(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """The model's state with the averaged weights in the place of its own."""
    model = {str(k).removeprefix("module."): v for k, v in content["model"].items()}
    ema = content.get("ema")
    if not (isinstance(ema, dict) and isinstance(ema.get("shadow_params"), list)):
        raise InputError("checkpoint: expected averaged weights under ema, shadow_params; got none")
    constant = {"sigmas", "all_modules.0.W"}  # a buffer, and frequencies without gradient
    trained, shadow = [name for name in model if name not in constant], ema["shadow_params"]
    if len(trained) != len(shadow):
        raise InputError(
            f"checkpoint: expected {len(trained)} averaged weights as in model, got {len(shadow)}"
        )
    if not all(isinstance(tensor, Tensor) for tensor in model.values()):
        raise InputError("checkpoint: expected tensors under model, got something else")
    for name, average in zip(trained, shadow, strict=True):
        if not isinstance(average, Tensor) or average.shape != model[name].shape:
            raise InputError(
                f"checkpoint: expected an average of {name} of shape {tuple(model[name].shape)}, "
                f"got {tuple(getattr(average, 'shape', ()))}"
            )
        model[name] = average
    return model


def _settings(source: Source, state: Mapping[str, Tensor]) -> Settings:
    config = source.sidecar.get("config")
    if isinstance(config, str) and config not in PRESETS:
        raise InputError(
            f"checkpoint: expected config to be one of {', '.join(PRESETS)}, got {config!r}"
        )
    if isinstance(config, str):
        return PRESETS[config]
    if isinstance(config, dict):
        try:
            return from_config(config)
        except (TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"checkpoint: configuration: {line(error)}") from error
    fitting = [name for name, settings in PRESETS.items() if _fits(settings, state)]
    if len(fitting) == 1:
        return PRESETS[fitting[0]]
    if fitting:
        raise InputError(
            f"checkpoint: {source.reference} fits {' and '.join(fitting)}, which weights do not "
            f'tell apart: expected {source.path.stem}.json with {{"config": "{fitting[0]}"}} '
            "or another of them"
        )
    raise InputError(
        f"checkpoint: {source.reference} fits no preset: expected {source.path.stem}.json beside "
        "it, with score_sde's training, data and model configuration under config"
    )


def _fits(settings: Settings, state: Mapping[str, Tensor]) -> bool:
    greatest = settings.limits[1] if settings.sde == "vesde" else 50.0
    if abs(float(state["sigmas"].max()) / greatest - 1) > 1e-3:
        return False
    try:
        _network(settings, state)
    except InputError:
        return False
    return True


def from_config(config: Mapping[str, Any]) -> Settings:
    """Settings from upstream's configuration: its sections training, data and model.

    Raises:
        InputError: something is missing, or is not among what is loaded here.
    """
    training, data, model = (_section(config, name) for name in ("training", "data", "model"))
    for key, expected in EXPECTED.items():
        _require(str(model.get(key, expected)).lower() == str(expected).lower(),
                 f"model.{key} {expected!r}", model.get(key))  # fmt: skip
    sde, fir = str(training.get("sde")).lower(), bool(model.get("fir", False))
    _require(sde in ("vpsde", "subvpsde", "vesde"), "training.sde vpsde, subvpsde or vesde", sde)
    _require(bool(training.get("continuous", True)), "training.continuous", False)
    names = ("sigma_min", "sigma_max") if sde == "vesde" else ("beta_min", "beta_max")
    centered = bool(data.get("centered", False))
    _require(centered or sde == "vesde", f"data.centered with {sde}", centered)
    network = {
        "image_size": _whole(data, "image_size"), "num_channels": _whole(data, "num_channels"),
        "taps": tuple(_get(model, "fir_kernel")) if fir else (1, 1),
        "progressive": str(model.get("progressive", "none")).lower(),
        "progressive_input": str(model.get("progressive_input", "none")).lower(),
        "progressive_combine": str(model.get("progressive_combine", "sum")).lower(),
        "embedding_type": str(_get(model, "embedding_type")).lower(),
        **{key: tuple(_get(model, key)) for key in ("ch_mult", "attn_resolutions")},
        **{key: _whole(model, key) for key in ("nf", "num_res_blocks")},
        **{key: bool(_get(model, key)) for key in ("skip_rescale", "scale_by_sigma")},
    }  # fmt: skip
    kind = network["progressive"]
    _require(kind in ("none", "output_skip"), "model.progressive none or output_skip", kind)
    pyramid = network["progressive_input"] != "none" or kind != "none"
    _require(fir or not pyramid, "model.fir with a pyramid", fir)
    low, high = (float(_get(model, name)) for name in names)
    return Settings(sde, centered, (low, high), network)


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = config.get(name)
    _require(isinstance(section, dict), f"the section {name}", section)
    return section or {}


def _get(section: Mapping[str, Any], key: str) -> Any:
    _require(key in section, key, None)
    return section[key]


def _whole(section: Mapping[str, Any], key: str) -> int:
    value = _get(section, key)
    fits = type(value) is int and 1 <= value <= LARGEST_SIDE
    _require(fits, f"a positive whole number up to {LARGEST_SIDE} as {key}", value)
    return int(value)


def _require(condition: bool, expected: str, got: Any) -> None:
    if not condition:
        raise InputError(f"checkpoint: configuration: expected {expected}, got {got!r:.60}")


FAMILY = Family("score_sde", recognizes, load)
