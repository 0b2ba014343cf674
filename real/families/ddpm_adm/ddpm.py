"""DDPM's networks as pytorch_diffusion converted them (.ckpt), and DDIM's own (ckpt.pth).

Both hold a state dictionary of the same names; DDIM's is the last of a list that its training
wrote. The noise is DDPM's linear table unless the JSON beside the file says otherwise.
"""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor

from real.families import beta_tables as betas
from real.families import presets
from real.families.checkpoint import Checkpoint, Family, Source
from real.families.ddpm_adm.ddpm_unet import Architecture, build, renamed
from real.files.state_dicts import filled, inferred, state_of
from theory.diffusion import targets
from theory.forward.fingerprints import fingerprint
from theory.support.errors import InputError

NEEDED = [["image_size"]]
TELLING = (
    "temb.dense.0.weight", "conv_in.weight", "conv_out.weight",
    "down.0.block.0.conv1.weight", "mid.block_1.conv1.weight", "up.0.block.0.conv1.weight",
)  # fmt: skip


def recognizes(source: Source) -> bool:
    """Whether the names are DDPM's."""
    return state_of(source.content).keys() >= set(TELLING)


def read_architecture(state: Mapping[str, Tensor]) -> Architecture:
    """The architecture that the names and shapes of a state tell."""
    levels = _count(state, "down.{}.block.0.conv1.weight")
    width, in_channels = state["conv_in.weight"].shape[:2]
    return Architecture(
        in_channels=in_channels,
        out_channels=state["conv_out.weight"].shape[0],
        width=width,
        multipliers=tuple(
            state[f"down.{level}.block.0.conv1.weight"].shape[0] // width for level in range(levels)
        ),
        blocks=_count(state, "down.0.block.{}.conv1.weight"),
        attention=tuple(
            level for level in range(levels) if f"down.{level}.attn.0.q.weight" in state
        ),
    )


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    count = 0
    while pattern.format(count) in state:
        count += 1
    return count


def load(source: Source, device: Any) -> Checkpoint:
    """The checkpoint.

    Raises:
        InputError: names or shapes that are not DDPM's, or an image size that nothing tells.
    """
    state = state_of(source.content)
    architecture = inferred(read_architecture, TELLING, state, source.reference)
    known = presets.settings(source, architecture, NEEDED)
    if architecture.out_channels != architecture.in_channels:
        raise InputError(
            f"checkpoint: {source.reference}: expected as many channels out as in, "
            f"got {architecture.in_channels} in, {architecture.out_channels} out"
        )
    size = presets.image_size(known, len(architecture.multipliers))
    presets.require_agreement(source, known, _by_shapes(architecture, size))
    make = partial(build, architecture, size)
    network = filled(make, renamed(state), source.reference).to(device)

    def predict(x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        if condition is not None:
            raise InputError(
                f"checkpoint: {source.reference} is unconditional, it takes no condition"
            )
        return network(x_t.to(network.device, network.dtype), t.to(network.device)).sample.to(x_t)

    return Checkpoint(
        reference=source.reference,
        family=FAMILY.name,
        predict=predict,
        schedule=betas.schedule({"schedule": "linear", **known}),
        target=targets.named(str(known.get("prediction", "noise"))),
        shape=(architecture.in_channels, size, size),
        conditions=None,
        fingerprint=fingerprint(
            network.state_dict().items(), json.dumps(architecture.config(size), sort_keys=True)
        ),
        modules={"unet": network},
    )


def _by_shapes(architecture: Architecture, size: int) -> dict[str, Any]:
    return {
        "ch": architecture.width,
        "mult": list(architecture.multipliers),
        "nres": architecture.blocks,
        "attn": sorted(size >> level for level in architecture.attention),
        "cin": architecture.in_channels,
    }


FAMILY = Family("ddpm", recognizes, load)
