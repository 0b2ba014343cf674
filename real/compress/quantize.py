"""Damage a network: prune the weights of convolutions and linear layers, and round the rest.

Biases, normalizations and embeddings are kept, as are autoencoders and text encoders. Damaged weights
are written into a network that is given, freshly loaded.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from real.compress import torchao_formats as library
from real.compress.formats import FORMATS, Parts, weight_format
from real.families.checkpoint import Checkpoint
from theory.forward.fingerprints import fingerprint
from theory.support.errors import InputError

OUTPUT_AXIS = {"weight": 0, "W": 1}
"""Axis of the output channels, by the name of a layer's weights."""

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NO_LAYERS = (nn.Embedding, nn.LayerNorm)
KEPT = ("vae", "text")
"""Beginnings of the names of networks that do not denoise."""

Encoded = Mapping[str, Parts]
"""A network's encoded weights: the tensors that encode each parameter and buffer, by name."""


@dataclass(frozen=True)
class Damage:
    """How weights are damaged.

    Attributes:
        quantize: name of a number format, or of a library's quantization; None does not round.
        prune: share of each weight tensor, the smallest weights, that is set to zero; None does not
            prune.
    """

    quantize: str | None = None
    prune: float | None = None

    def __post_init__(self) -> None:
        """Raises InputError for an unknown format, or a share that is not between 0 and 1."""
        known = (*FORMATS, *library.NAMES)
        if self.quantize is not None and self.quantize not in known:
            raise InputError(f"quantize: expected one of {', '.join(known)}, got {self.quantize!r}")
        if self.prune is not None and not 0 < self.prune < 1:
            raise InputError(f"prune: expected a share between 0 and 1, got {self.prune:g}")

    def __str__(self) -> str:
        pruned = [] if self.prune is None else [f"{self.prune:.0%} pruned"]
        rounded = [] if self.quantize is None else [self.quantize]
        return ", ".join(pruned + rounded) or "undamaged"


def encode_damaged(checkpoint: Checkpoint, damage: Damage) -> dict[str, Parts]:
    """The encoded weights of the damaged network; the checkpoint is untouched.

    Raises:
        InputError: the checkpoint has no networks.
    """
    axes, format_ = _axes(checkpoint), weight_format(_own_format(damage))
    encoded: dict[str, Parts] = {}
    for name, tensor in _tensors(checkpoint):
        if name in axes:
            weight = tensor.detach().cpu().movedim(axes[name], 0).contiguous()
            encoded[name] = format_.encode(pruned(weight, damage.prune))
        else:
            encoded[name] = {"kept": tensor.detach().cpu().contiguous()}
    return encoded


def decode_into(fresh: Checkpoint, damage: Damage, encoded: Encoded) -> Checkpoint:
    """The damaged network, made of a freshly loaded original whose weights are overwritten.

    Raises:
        InputError: the encoded weights are of another network.
    """
    axes, format_ = _axes(fresh), weight_format(_own_format(damage))
    tensors = dict(_tensors(fresh))
    if tensors.keys() != encoded.keys():
        odd = min(tensors.keys() ^ encoded.keys())
        raise InputError(f"checkpoint: {fresh.reference} and the stored weights differ in {odd}")
    for name, tensor in tensors.items():
        if name in axes:
            shape = tuple(tensor.movedim(axes[name], 0).shape)
            value = format_.decode(encoded[name], shape).movedim(0, axes[name])
        else:
            value = encoded[name]["kept"]
        with torch.no_grad():
            tensor.copy_(value)
    if damage.quantize in library.NAMES:
        for _, network in denoisers(fresh):
            library.quantize(network, damage.quantize)
    return replace(
        fresh,
        reference=f"{fresh.reference} ({damage})",
        fingerprint=fingerprint(
            ((name, library.dequantized(t).float()) for name, t in _tensors(fresh)),
            fresh.fingerprint,
            str(damage),
        ),
    )


def pruned(weight: Tensor, share: float | None) -> Tensor:
    """The weights with a share of them, the smallest in size, set to zero."""
    if share is None:
        return weight
    flat = weight.flatten().clone()
    flat[flat.abs().argsort(stable=True)[: round(share * len(flat))]] = 0
    return flat.reshape(weight.shape)


def denoisers(checkpoint: Checkpoint) -> Iterator[tuple[str, Any]]:
    """The networks that denoise, with their names; at least one.

    Raises:
        InputError: there are none.
    """
    chosen = {n: m for n, m in checkpoint.modules.items() if not n.startswith(KEPT)}
    if not chosen:
        raise InputError(f"checkpoint: {checkpoint.reference} has no network that can be changed")
    yield from chosen.items()


def _own_format(damage: Damage) -> str | None:
    return None if damage.quantize in library.NAMES else damage.quantize


def _tensors(checkpoint: Checkpoint) -> Iterator[tuple[str, Tensor]]:
    """Every floating point parameter and buffer."""
    for part, network in denoisers(checkpoint):
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                yield f"{part}.{name}", tensor


def _axes(checkpoint: Checkpoint) -> dict[str, int]:
    """The axis of the output channels of every weight that is damaged, by name."""
    axes = {}
    for part, network in denoisers(checkpoint):
        for path, module in network.named_modules():
            if isinstance(module, NO_LAYERS):
                continue
            for name, tensor in module.named_parameters(recurse=False):
                if name in OUTPUT_AXIS and tensor.dim() >= 2:
                    transposed = isinstance(module, TRANSPOSED)
                    full = ".".join(p for p in (part, path, name) if p)
                    axes[full] = 1 if transposed else OUTPUT_AXIS[name]
    return axes
