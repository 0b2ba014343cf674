"""Load DDPM's networks as pytorch_diffusion converted them (.ckpt), and DDIM's own (ckpt.pth).

Both hold a state dictionary of the same names; DDIM's is the last entry of a list that its training
wrote. The noise schedule is DDPM's linear one unless the JSON beside the file says otherwise.
"""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor

from real.families.beta_tables import schedule_of_settings
from real.families.checkpoint import Checkpoint, Family, Source
from real.families.conditions import refuse_condition
from real.families.ddpm.unet import DDPMArchitecture, build, renamed
from real.families.sidecar_settings import (
    Preset,
    assumed,
    image_size,
    require_agreement,
    settings_of,
)
from real.files.state_dicts import inferred, state_of, with_weights
from theory.diffusion import targets
from theory.forward.fingerprints import fingerprint
from theory.support.errors import InputError

NAME = "ddpm"
NEEDED = [["image_size"]]
TELLING = (
    "temb.dense.0.weight", "conv_in.weight", "conv_out.weight",
    "down.0.block.0.conv1.weight", "mid.block_1.conv1.weight", "up.0.block.0.conv1.weight",
)  # fmt: skip
"""Names by which the family is recognized, and whose shapes tell the architecture."""


def _published(size: int, multipliers: tuple[int, ...], attention: int) -> Preset:
    architecture = DDPMArchitecture(3, 3, 128, multipliers, 2, (attention,))
    return Preset(architecture, {"image_size": size})


PRESETS = (
    _published(32, (1, 2, 2, 2), 1),
    _published(64, (1, 2, 2, 2, 2), 2),
    _published(256, (1, 1, 2, 2, 4, 4), 4),
)
"""The networks of DDPM and DDIM."""


def ddpm_architecture(state: Mapping[str, Tensor]) -> DDPMArchitecture:
    """The architecture that the names and shapes of a state tell."""
    width, in_channels = state["conv_in.weight"].shape[:2]
    levels = range(_count(state, "down.{}.block.0.conv1.weight"))
    channels = [state[f"down.{level}.block.0.conv1.weight"].shape[0] for level in levels]
    return DDPMArchitecture(
        in_channels=in_channels, out_channels=state["conv_out.weight"].shape[0], width=width,
        multipliers=tuple(wide // width for wide in channels),
        blocks=_count(state, "down.0.block.{}.conv1.weight"),
        attention=tuple(level for level in levels if f"down.{level}.attn.0.q.weight" in state),
    )  # fmt: skip


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    count = 0
    while pattern.format(count) in state:
        count += 1
    return count


def load(source: Source, device: Any) -> Checkpoint:
    """The network of a DDPM state file.

    Raises:
        InputError: names or shapes are not DDPM's, or nothing tells the size of the images.
    """
    state = state_of(source.content)
    architecture = inferred(ddpm_architecture, TELLING, state, source.reference)
    known = settings_of(source, architecture, PRESETS, NEEDED)
    if architecture.out_channels != architecture.in_channels:
        raise InputError(
            f"checkpoint: {source.reference}: expected as many channels out as in, "
            f"got {architecture.in_channels} in, {architecture.out_channels} out"
        )
    size = image_size(known, len(architecture.multipliers))
    require_agreement(source, known, _by_shapes(architecture, size))
    floats = {name: tensor.float() for name, tensor in renamed(state).items()}
    network = with_weights(partial(build, architecture, size), floats, source.reference).to(device)

    def predict(x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        """The noise (b, c, h, w) in x_t at times t (b,)."""
        refuse_condition(condition, source.reference)
        return network(x_t.to(network.device, network.dtype), t.to(network.device)).sample.to(x_t)

    config = json.dumps(architecture.config(size), sort_keys=True)
    return Checkpoint(
        reference=source.reference, family=NAME, predict=predict,
        schedule=schedule_of_settings({"schedule": "linear", **known}),
        target=targets.named(str(known.get("prediction", "noise"))),
        shape=(architecture.in_channels, size, size), conditions=None,
        fingerprint=fingerprint(network.state_dict().items(), config),
        modules={"unet": network},
        notes=assumed(source, architecture, PRESETS),
    )  # fmt: skip


def _by_shapes(architecture: DDPMArchitecture, size: int) -> dict[str, Any]:
    return {
        "ch": architecture.width, "mult": list(architecture.multipliers),
        "nres": architecture.blocks,
        "attn": sorted(size >> level for level in architecture.attention),
        "cin": architecture.in_channels,
    }  # fmt: skip


FAMILY = Family(NAME, lambda source: state_of(source.content).keys() >= set(TELLING), load)
