"""Load score_sde_pytorch ``.pth`` files: NCSN++, DDPM++ and DDPM under VP, sub-VP and VE SDEs.

Such a file is a dictionary with ``model`` (names start with ``module.``) and ``ema``, whose
``shadow_params`` are the averaged weights without names, in the order of the model's
(yang-song/score_sde_pytorch; Song et al., "Score-Based Generative Modeling through SDEs", 2021).
The rest comes from a JSON beside the file, or from a published network (``PRESETS``):

    {"config": {"training": {...}, "data": {...}, "model": {...}}}    upstream's configuration
    {"config": "cifar10-ddpmpp-vp"}                                   the name of a preset

Images are in [-1, 1]. The network predicts:

    VP, sub-VP    the noise e, network(x_t, 999 t); schedules ``VPLinear`` and ``SubVP``.
    VE            the score, network(x_t, sigma_t); schedule ``VEGeometric``. Upstream's images are
                  in [0, 1], where noise levels are half as great and scores twice as great: the
                  schedule has 2 sigma, and the network's output at sigma is divided by 2.

Where it was trained at n times only (``training.continuous`` false):

    VP (DDPM)     the noise e, network(x_t, i) for the index i of a table of n betas.
    VE (SMLD)     the score, network(x_t, i) for the nearest of n noise levels, the greatest first.
"""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from real.families.checkpoint import Checkpoint, Family, Source
from real.families.conditions import refuse_condition
from real.families.score_sde.ncsnpp import NCSNpp
from real.families.score_sde.settings import PRESETS, SDESettings, from_config
from real.files.state_dicts import PARALLEL, with_weights
from theory.diffusion.targets import NOISE, SCORE
from theory.forward.fingerprints import fingerprint
from theory.support.errors import InputError, one_line

NAME = "score_sde"


def _recognizes(source: Source) -> bool:
    """Whether the file has a ``model`` with score_sde's table of noise levels and list of layers."""
    model = source.content.get("model") if isinstance(source.content, dict) else None
    names = {str(name).removeprefix(PARALLEL) for name in model} if isinstance(model, dict) else ()
    return "sigmas" in names and any(name.startswith("all_modules.") for name in names)


def load(source: Source, device: Any) -> Checkpoint:
    """The network with its averaged weights.

    Raises:
        InputError: the file is of another family, has no averaged weights, or neither it nor the
            JSON beside it tells a configuration that fits.
    """
    if not _recognizes(source):
        raise InputError(
            f"checkpoint: {source.reference} is of another family: it has no model with sigmas and "
            "all_modules"
        )
    state = _averaged(source.content)
    settings = _settings(source, state)
    network = _network(settings, state).to(device)
    scales = len(state["sigmas"])
    schedule, scale = settings.schedule(scales), settings.image_scale
    exploding = settings.sde == "vesde"

    def predict(x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        """The noise or the score (b, c, r, r) at x_t and times t (b,)."""
        refuse_condition(condition, source.reference)
        like = next(network.parameters())
        label = settings.label(t, scales)
        output = network(x_t.to(like), label.to(like.device, torch.float32))
        return (output / scale if exploding else output).to(x_t)

    return Checkpoint(
        reference=source.reference, family=NAME, predict=predict, schedule=schedule,
        target=SCORE if exploding else NOISE, conditions=None,
        shape=(settings.network["num_channels"], *2 * (settings.network["image_size"],)),
        fingerprint=fingerprint(
            state.items(), settings.sde + " at table times" * (not settings.continuous),
            str(settings.centered), str(settings.limits),
            json.dumps(dict(settings.network), sort_keys=True),
        ),
        modules={settings.name: network},
    )  # fmt: skip


def _network(settings: SDESettings, state: Mapping[str, Tensor]) -> NCSNpp:
    blocks, levels = settings.network["num_res_blocks"], settings.network["ch_mult"]
    if blocks * len(levels) > len(state):
        raise InputError(
            f"checkpoint: expected at most one block for each of {len(state)} tensors, "
            f"got {str(blocks)[:40]} in each of {len(levels)} levels"
        )
    return with_weights(lambda: settings.build(state["sigmas"].numel()), state, "the network")


def _averaged(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """The model's state, with the averages in place of its trained weights."""
    model = {str(k).removeprefix(PARALLEL): v for k, v in content["model"].items()}
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


def _settings(source: Source, state: Mapping[str, Tensor]) -> SDESettings:
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
            raise InputError(f"checkpoint: configuration: {one_line(error)}") from error
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


def _fits(settings: SDESettings, state: Mapping[str, Tensor]) -> bool:
    greatest = settings.limits[1] if settings.sde == "vesde" else 50.0
    if abs(float(state["sigmas"].max()) / greatest - 1) > 1e-3:
        return False
    try:
        _network(settings, state)
    except InputError:
        return False
    return True


FAMILY = Family(NAME, _recognizes, load)
