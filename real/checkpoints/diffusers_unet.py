"""Unconditional diffusers pipelines of a ``UNet2DModel`` with a table of betas (DDPM, DDIM, PNDM...)."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from torch import Tensor

from real.checkpoints.base import Checkpoint
from theory.errors import InputError
from theory.identity import fingerprint
from theory.schedules import DiscreteSchedule
from theory.targets import DATA, NOISE, VELOCITY

PREDICTION_TYPES = {"epsilon": NOISE, "sample": DATA, "v_prediction": VELOCITY}


def load_folder(folder: Path, reference: str, device: Any) -> Checkpoint:
    """Load the network and its noise schedule from a diffusers folder.

    The network lies in ``unet/`` or at the top, the scheduler's configuration in ``scheduler/`` or
    at the top. Weights are read from safetensors, or from .bin files without running code.

    Raises:
        InputError: files are missing or broken, the network is no unconditional UNet2DModel, or
            its prediction type or schedule is unknown.
    """
    network_folder = _holding(folder, "unet", "config.json")
    config = _read_json(network_folder / "config.json")
    if config.get("_class_name") != "UNet2DModel":
        raise InputError(
            f"checkpoint: expected an unconditional UNet2DModel in {folder}, "
            f"got {config.get('_class_name')}"
        )
    index = folder / "model_index.json"
    null = _read_json(index).get("null_class") if index.is_file() else None
    if config.get("class_embed_type") or (config.get("num_class_embeds") and null is None):
        raise InputError(f"checkpoint: expected an unconditional network, {folder} takes classes")
    scheduler_folder = _holding(folder, "scheduler", "scheduler_config.json")
    scheduler_config = _read_json(scheduler_folder / "scheduler_config.json")
    kind = scheduler_config.get("prediction_type", "epsilon")
    if kind not in PREDICTION_TYPES:
        raise InputError(
            f"checkpoint: expected prediction_type {', '.join(PREDICTION_TYPES)}, got {kind!r}"
        )
    network = _load_network(network_folder).to(device).eval().requires_grad_(False)
    size = network.config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    architecture = {k: v for k, v in network.config.items() if not k.startswith("_")}

    def predict(x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        if condition is not None and null is None:
            raise InputError(f"checkpoint: {reference} is unconditional, it takes no condition")
        if condition is None and null is not None:
            condition = torch.full((len(x_t),), null)
        labels = None if condition is None else condition.to(network.device)
        x = x_t.to(network.device, network.dtype)
        return network(x, t.to(network.device), class_labels=labels).sample.to(x_t)

    return Checkpoint(
        reference=reference,
        family="diffusers",
        predict=predict,
        schedule=_schedule(scheduler_config, folder),
        target=PREDICTION_TYPES[kind],
        shape=(network.config.in_channels, height, width),
        conditions=None if null is None else config["num_class_embeds"] - 1,
        null_condition=null,
        fingerprint=fingerprint(
            network.state_dict().items(), json.dumps(architecture, sort_keys=True)
        ),
        scheduler_config=scheduler_config,
        modules={"unet": network},
    )


def _holding(folder: Path, part: str, file: str) -> Path:
    for candidate in (folder / part, folder):
        if (candidate / file).is_file():
            return candidate
    raise InputError(f"checkpoint: expected {part}/{file} or {file} in {folder}, found neither")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"checkpoint: {path} cannot be read as JSON") from error
    if not isinstance(content, dict):
        raise InputError(f"checkpoint: expected a JSON object in {path}")
    return content


def _load_network(folder: Path) -> UNet2DModel:
    level = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity(diffusers_logging.CRITICAL)
    try:
        return UNet2DModel.from_pretrained(folder, local_files_only=True, low_cpu_mem_usage=False)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"checkpoint: cannot load the network in {folder}: {reason}") from error
    finally:
        diffusers_logging.set_verbosity(level)


def _schedule(config: dict[str, Any], folder: Path) -> DiscreteSchedule:
    if "beta_schedule" not in config and "trained_betas" not in config:
        raise InputError(
            f"checkpoint: expected a scheduler with betas in {folder}, "
            f"got {config.get('_class_name', 'none')}"
        )
    try:
        scheduler = DDPMScheduler.from_config(config)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise InputError(f"checkpoint: cannot read the schedule in {folder}: {error}") from error
    return DiscreteSchedule(scheduler.alphas_cumprod.to(torch.float64))
