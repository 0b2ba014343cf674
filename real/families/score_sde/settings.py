"""Settings of score_sde's networks: from upstream's configuration, or of the published networks.

Names are those of yang-song/score_sde_pytorch; the published networks are those of its README.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from real.families.beta_tables import table_schedule
from real.families.checkpoint import LARGEST_SIDE
from real.families.score_sde.ddpm import DDPM
from real.families.score_sde.ncsnpp import NCSNpp
from theory.diffusion.schedules import Schedule, SubVP, VEGeometric, VPLinear
from theory.support.errors import InputError

EARLIEST = 1e-5
"""The smallest time of upstream's training, where times are continuous."""

NETWORKS: dict[str, Callable[..., NCSNpp]] = {"ncsnpp": NCSNpp, "ddpm": DDPM}

EXPECTED = {
    "ncsnpp": {"resblock_type": "biggan", "nonlinearity": "swish", "conditional": True},
    "ddpm": {"resamp_with_conv": True, "nonlinearity": "swish", "conditional": True},
}
"""Values in upstream's model configuration that all published networks have."""

LEAST_WIDTH = 128
"""Of DDPM's networks: narrower ones have other normalizations."""


@dataclass(frozen=True)
class SDESettings:
    """The settings of a network of this family.

    Attributes:
        sde: "vpsde", "subvpsde" or "vesde".
        centered: whether it was trained on images in [-1, 1], rather than [0, 1].
        limits: beta_min and beta_max, or sigma_min and sigma_max for VE.
        network: arguments of its class, without the length of its table of noise levels.
        name: of its class in ``NETWORKS``.
        continuous: whether it was trained at all times, rather than at n of them (DDPM, SMLD).
    """

    sde: str
    centered: bool
    limits: tuple[float, float]
    network: Mapping[str, Any]
    name: str = "ncsnpp"
    continuous: bool = True

    @property
    def image_scale(self) -> float:
        """Length in [-1, 1] of a unit of the network's own images."""
        return 1.0 if self.centered else 2.0

    def build(self, n: int) -> NCSNpp:
        """The network with a table of n noise levels, without its weights."""
        return NETWORKS[self.name](num_scales=n, **self.network)

    def schedule(self, n: int) -> Schedule:
        """The noise schedule of images in [-1, 1], for a table of n noise levels."""
        low, high = self.limits
        if self.sde == "vesde":
            scale = self.image_scale
            return VEGeometric(scale * low, scale * high, t_min=EARLIEST * self.continuous)
        if self.continuous:
            return (VPLinear if self.sde == "vpsde" else SubVP)(low, high, t_min=EARLIEST)
        return table_schedule(torch.linspace(low / n, high / n, n, dtype=torch.float64))

    def label(self, t: Tensor, n: int) -> Tensor:
        """The label that the network is given at times (b,) of the schedule.

        VP, sub-VP: 999 t, or the index t. VE: the noise level in the network's own images, or the
        index of the nearest one in the falling table, round((1 - t)(n - 1)).
        """
        if self.sde != "vesde":
            return 999 * t if self.continuous else t
        if self.continuous:
            return self.schedule(n).sigma(t) / self.image_scale
        return torch.round((1 - t) * (n - 1))


PUBLISHED = {"num_channels": 3, "attn_resolutions": (16,), "progressive_combine": "sum"}
CIFAR10 = {"image_size": 32, "nf": 128, "ch_mult": (1, 2, 2, 2)}


def _cifar10(sde: str, kind: str, blocks: int, continuous: bool = True) -> SDESettings:
    ncsnpp, exploding = kind == "ncsnpp", sde == "vesde"
    network = {
        **PUBLISHED, **CIFAR10, "num_res_blocks": blocks, "skip_rescale": True,
        "taps": (1, 3, 3, 1) if ncsnpp else (1, 1),
        "embedding_type": "fourier" if exploding and continuous else "positional",
        "progressive": "none", "progressive_input": "residual" if ncsnpp else "none",
        "scale_by_sigma": exploding,
    }  # fmt: skip
    limits = (0.01, 50.0) if exploding else (0.1, 20.0)
    return SDESettings(sde, not exploding, limits, network, continuous=continuous)


def _ddpm(sde: str, continuous: bool = True) -> SDESettings:
    network = {
        **CIFAR10, "num_channels": 3, "num_res_blocks": 2, "attn_resolutions": (16,),
        "scale_by_sigma": False,
    }  # fmt: skip
    return SDESettings(sde, True, (0.1, 20.0), network, "ddpm", continuous)


def _large(size: int, sigma_max: float) -> SDESettings:
    wide = size == 1024
    network = {
        **PUBLISHED, "image_size": size, "nf": 16 if wide else 128, "skip_rescale": True,
        "ch_mult": (1, 2, 4, 8, 16, 32, 32, 32) if wide else (1, 1, 2, 2, 2, 2, 2),
        "num_res_blocks": 1 if wide else 2, "taps": (1, 3, 3, 1), "embedding_type": "fourier",
        "progressive": "output_skip", "progressive_input": "input_skip", "scale_by_sigma": True,
    }  # fmt: skip
    return SDESettings("vesde", False, (0.01, sigma_max), network)


PRESETS: dict[str, SDESettings] = {
    "cifar10-ddpm-vp-discrete": _ddpm("vpsde", continuous=False),
    "cifar10-ddpm-vp": _ddpm("vpsde"),
    "cifar10-ddpm-subvp": _ddpm("subvpsde"),
    "cifar10-ddpmpp-vp-discrete": _cifar10("vpsde", "ddpmpp", 4, continuous=False),
    "cifar10-ddpmpp-vp": _cifar10("vpsde", "ddpmpp", 4),
    "cifar10-ddpmpp-subvp": _cifar10("subvpsde", "ddpmpp", 4),
    "cifar10-ddpmpp-deep-vp": _cifar10("vpsde", "ddpmpp", 8),
    "cifar10-ddpmpp-deep-subvp": _cifar10("subvpsde", "ddpmpp", 8),
    "cifar10-ncsnpp-ve-discrete": _cifar10("vesde", "ncsnpp", 4, continuous=False),
    "cifar10-ncsnpp-ve": _cifar10("vesde", "ncsnpp", 4),
    "cifar10-ncsnpp-deep-ve": _cifar10("vesde", "ncsnpp", 8),
    "celebahq-or-ffhq-256-ncsnpp-ve": _large(256, 348.0),
    "bedroom-256-ncsnpp-ve": _large(256, 378.0),
    "church-256-ncsnpp-ve": _large(256, 380.0),
    "celebahq-or-ffhq-1024-ncsnpp-ve": _large(1024, 1348.0),
}
"""The published networks, from upstream's configurations."""


def from_config(config: Mapping[str, Any]) -> SDESettings:
    """The settings in upstream's configuration: its sections training, data and model.

    Raises:
        InputError: a value is missing, or no network with it is loaded here.
    """
    training, data, model = (_section(config, name) for name in ("training", "data", "model"))
    name = str(model.get("name", "ncsnpp")).lower()
    _require(name in NETWORKS, f"model.name {' or '.join(NETWORKS)}", name)
    for key, expected in EXPECTED[name].items():
        _require(str(model.get(key, expected)).lower() == str(expected).lower(),
                 f"model.{key} {expected!r}", model.get(key))  # fmt: skip
    sde, continuous = str(training.get("sde")).lower(), bool(training.get("continuous", True))
    _require(sde in ("vpsde", "subvpsde", "vesde"), "training.sde vpsde, subvpsde or vesde", sde)
    _require(continuous or sde != "subvpsde", f"training.continuous with {sde}", continuous)
    names = ("sigma_min", "sigma_max") if sde == "vesde" else ("beta_min", "beta_max")
    centered = bool(data.get("centered", False))
    _require(centered or sde == "vesde", f"data.centered with {sde}", centered)
    network = {
        **{key: _whole(data, key) for key in ("image_size", "num_channels")},
        **{key: tuple(_get(model, key)) for key in ("ch_mult", "attn_resolutions")},
        **{key: _whole(model, key) for key in ("nf", "num_res_blocks")},
        "scale_by_sigma": bool(_get(model, "scale_by_sigma")),
        **(_ncsnpp(model, continuous) if name == "ncsnpp" else {}),
    }
    _require(name == "ncsnpp" or network["nf"] >= LEAST_WIDTH,
             f"model.nf of at least {LEAST_WIDTH} with ddpm", network["nf"])  # fmt: skip
    low, high = (float(_get(model, key)) for key in names)
    return SDESettings(sde, centered, (low, high), network, name, continuous)


def _ncsnpp(model: Mapping[str, Any], continuous: bool) -> dict[str, Any]:
    """The settings of NCSN++ that DDPM lacks."""
    fir, embedding = bool(model.get("fir", False)), str(_get(model, "embedding_type")).lower()
    kind = str(model.get("progressive", "none")).lower()
    pyramid = str(model.get("progressive_input", "none")).lower()
    _require(kind in ("none", "output_skip"), "model.progressive none or output_skip", kind)
    _require(fir or (kind, pyramid) == ("none", "none"), "model.fir with a pyramid", fir)
    _require(continuous or embedding != "fourier", "training.continuous with fourier", continuous)
    return {
        "taps": tuple(_get(model, "fir_kernel")) if fir else (1, 1),
        "skip_rescale": bool(_get(model, "skip_rescale")),
        "embedding_type": embedding,
        "progressive": kind,
        "progressive_input": pyramid,
        "progressive_combine": str(model.get("progressive_combine", "sum")).lower(),
    }


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
