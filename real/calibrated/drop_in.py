"""A calibration inside a diffusers pipeline: the user's own call, schedulers and guidance go on.

    handle = attach(pipe, calibration)
    images = pipe("a cat", num_inference_steps=10).images
    handle.enabled = False  # until it is True again
    handle.remove()

or ``with attach(pipe, calibration): ...``. The correction is subtracted from what ``pipe.unet`` or
``pipe.transformer`` returns, by a forward hook; the network itself is left as it is.
"""

import inspect
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from real.calibrated.calibration_files import require_branch
from real.calibrated.card import calibration_card
from real.families.diffusers.folder import load_part
from real.families.diffusers.network import network_fingerprint, sample_shape
from real.families.diffusers.process import Process, process_of_scheduler
from real.files.hub_ids import is_hub_id
from theory.calibration.result import Calibration
from theory.diffusion.schedules import RectifiedFlow
from theory.support.checks import require_number
from theory.support.errors import InputError, one_line
from theory.support.output import exists

FOLDER = "calibration"
MOST_STRENGTH = 2.0
GUIDED = (
    "DiTPipeline", "StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline",
    "StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline", "StableDiffusion3Pipeline",
    "StableDiffusion3Img2ImgPipeline",
)  # fmt: skip
"""Pipelines of which is known where in the batch the unconditional branch lies."""


class Attached:
    """A calibration at work in a network; as a context manager it removes itself at the end.

    Attributes:
        enabled: whether anything is subtracted; may be set at any time, also between steps.
        strength: the share of the correction that is subtracted. Certificates speak of 1 alone.
    """

    def __init__(self, strength: float) -> None:
        self.enabled = True
        self.strength = strength
        self._hook: RemovableHandle | None = None

    @property
    def strength(self) -> float:
        """The share of the correction that is subtracted."""
        return self._strength

    @strength.setter
    def strength(self, value: float) -> None:
        """Raises: InputError, no number from 0 to ``MOST_STRENGTH``."""
        require_number("drop-in: strength", value, 0.0, MOST_STRENGTH)
        self._strength = float(value)

    def remove(self) -> None:
        """Leave the network as it was."""
        if self._hook is not None:
            self._hook.remove()

    def __enter__(self) -> "Attached":
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def attach(
    pipe: Any,
    calibration: Calibration | Path | str,
    unconditional: Calibration | Path | str | None = None,
    *,
    strength: float = 1.0,
) -> Attached:
    """Calibrate the network of a pipeline in place, until the handle's ``remove()``.

    Args:
        pipe: a diffusers pipeline, in any dtype, on any device, with any of its schedulers; or its
            ``unet`` or ``transformer`` alone, whose schedule is then taken to be the calibration's.
        calibration: of its network, as ``real.load`` of the same folder loads it; or where it lies,
            as ``from_pretrained`` reads it.
        unconditional: under classifier-free guidance, the calibration of the branch without
            condition; by default both branches get the same shift.
        strength: the share of the correction that is subtracted, 0 to 2. Certificates speak of 1 alone.

    Returns:
        A handle, with which the calibration is switched off and on, and removed.

    Raises:
        InputError: a calibration of another network, schedule, target or shape, or none; a pipeline
            whose guidance is not known, which has a calibration already, or whose weights are offloaded.
            When the pipeline runs: another image size than calibrated, or adapters loaded since.
    """
    handle = Attached(strength)
    calibration = _loaded(calibration)
    unconditional = None if unconditional is None else _loaded(unconditional)
    network = network_of(pipe)
    original = uncompiled(network)
    if is_attached(network):
        raise InputError("drop-in: a calibration is attached already; remove its handle first")
    _require_no_adapters(original)
    process = _process(pipe, calibration)
    if unconditional is not None and type(pipe).__name__ not in GUIDED:
        raise InputError(
            f"drop-in: a second calibration, for the unconditional branch, expects one of "
            f"{', '.join(GUIDED)}, got {type(pipe).__name__}"
        )
    fingerprint = fingerprint_of(original, calibration.provenance.get("fingerprint"))
    require_branch(calibration, "joint")
    if unconditional is not None:
        require_branch(unconditional, "null")
    for made in filter(None, (calibration, unconditional)):
        if made.warning():
            warnings.warn(f"calibration: {made.warning()}", stacklevel=2)
    for made in (calibration, unconditional or calibration):
        made.require(process.schedule, process.target, sample_shape(original), fingerprint)
    forward = inspect.signature(type(original).forward)
    hook = _Shifting(pipe, handle, forward, process.time_scale, calibration, unconditional)
    handle._hook = network.register_forward_hook(hook, with_kwargs=True)
    return handle


def _process(pipe: Any, calibration: Calibration) -> Process:
    """What the pipeline's scheduler says; of a network alone, what its calibration does."""
    if hasattr(pipe, "scheduler"):
        return process_of_scheduler(pipe.scheduler)
    if isinstance(calibration.schedule, RectifiedFlow):
        raise InputError(
            "drop-in: expected the pipeline of a flow, whose scheduler knows the network's own time, got "
            f"{type(pipe).__name__} alone"
        )
    return Process(calibration.schedule, calibration.target, 1)


@dataclass(frozen=True)
class _Shifting:
    """The forward hook: subtracts the correction from what the network returns.

    Attributes:
        pipe: tells, under guidance, which images are of the unconditional branch.
        handle: whether, and how much of it, is subtracted.
        forward: signature of the network's call.
        time_scale: the network's own time over the calibration's.
        calibration: of the network.
        unconditional: of the branch without condition, where it has its own.
    """

    pipe: Any
    handle: Attached
    forward: inspect.Signature
    time_scale: int
    calibration: Calibration
    unconditional: Calibration | None

    @torch.compiler.disable
    def __call__(self, module: Any, args: Any, kwargs: Any, output: Any) -> Any:
        if not self.handle.enabled:
            return output
        _require_no_adapters(module)
        given = self.forward.bind(module, *args, **kwargs).arguments
        y, t = output[0], torch.as_tensor(given["timestep"]).reshape(-1).cpu() / self.time_scale
        x_t = given["sample" if "sample" in given else "hidden_states"]
        channels, *size = self.calibration.shape
        if list(y.shape[2:]) != size:
            raise InputError(
                f"drop-in: calibrated for samples of shape {self.calibration.shape}, the pipeline "
                f"runs at {tuple(y.shape[2:])}"
            )
        seen = x_t, t, y[:, :channels], given.get("class_labels")
        correction = self.calibration.correction(*seen)
        if self.unconditional is not None:
            rows = _unconditional_rows(self.pipe, given, len(y)).to(y.device)
            other = self.unconditional.correction(*seen)
            correction = torch.where(rows[:, None, None, None], other, correction)
        shifted = y[:, :channels] - self._part_of(correction)
        if y.shape[1] > channels:
            shifted = torch.cat([shifted, y[:, channels:]], 1)
        return (shifted,) if isinstance(output, tuple) else type(output)(sample=shifted)

    def _part_of(self, correction: Tensor) -> Tensor:
        """The share of it that is subtracted."""
        strength = self.handle.strength
        return correction if strength == 1 else strength * correction


def save_pretrained(calibration: Calibration, folder: Path | str, name: str = FOLDER) -> Path:
    """Write a calibration into a pipeline's folder, as calibration/NAME.safetensors."""
    path = Path(folder) / FOLDER / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    calibration.save(path)
    return path


def from_pretrained(reference: Path | str, name: str = FOLDER) -> Calibration:
    """Read a calibration file, or the calibration in a pipeline's folder or Hub repository.

    Raises:
        InputError: there is none, or it cannot be reached or read.
    """
    file = f"{FOLDER}/{name}.safetensors"
    expected = (
        f"calibration: expected a folder or a Hub id with {file}, or the path of such a file, "
        f"got {reference!r:.200}"
    )
    if not isinstance(reference, str | Path):
        raise InputError(expected)
    if exists(Path(reference)):
        path = Path(reference)
        return Calibration.load(path / file if path.is_dir() else path)
    if not is_hub_id(str(reference)):
        raise InputError(expected)
    try:
        return Calibration.load(Path(hf_hub_download(str(reference), file)))
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        raise InputError(expected) from error


def push_to_hub(
    calibration: Calibration, repository: str, name: str = FOLDER, *, private: bool = False
) -> str:
    """Upload a calibration with a model card that states its certificate; returns the address.

    Args:
        calibration: what is uploaded.
        repository: Hub id; it is made if there is none. A card that it has is replaced.
        name: of the file in its folder ``calibration``, as for ``from_pretrained``.
        private: whether a repository that is made is private.

    Raises:
        InputError: no Hub id, or a repository that cannot be reached or written.
    """
    if not is_hub_id(repository):
        raise InputError(f"hub: expected an id such as user/name, got {repository!r:.200}")
    hub = HfApi()
    try:
        with tempfile.TemporaryDirectory() as folder:
            save_pretrained(calibration, folder, name)
            (Path(folder) / "README.md").write_text(calibration_card(calibration, repository))
            hub.create_repo(repository, private=private, exist_ok=True)
            return str(hub.upload_folder(repo_id=repository, folder_path=folder))
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        raise InputError(f"hub: cannot upload to {repository}: {one_line(error)}") from error


def _loaded(given: Any) -> Calibration:
    """A calibration, or the one that lies there."""
    if isinstance(given, Calibration):
        return given
    if not isinstance(given, str | Path):
        raise InputError(
            f"drop-in: expected a calibration, or the path of one, got {type(given).__name__}"
        )
    return from_pretrained(given)


def network_of(pipe: Any) -> Any:
    """The network of a pipeline; of a network alone, itself."""
    if isinstance(pipe, torch.nn.Module) and hasattr(pipe, "config"):
        return pipe
    for part in ("unet", "transformer"):
        if getattr(pipe, part, None) is not None:
            return getattr(pipe, part)
    raise InputError(
        f"drop-in: expected a pipeline with a unet or a transformer, got {type(pipe).__name__}"
    )


def uncompiled(network: Any) -> Any:
    """What torch.compile was given; the network itself if it was given nothing."""
    return getattr(network, "_orig_mod", network)


def is_attached(network: Any) -> bool:
    """Whether a calibration is at work in a network, or in what torch.compile was given for it."""
    hooks = (
        hook for part in (network, uncompiled(network)) for hook in part._forward_hooks.values()
    )
    return any(isinstance(hook, _Shifting) for hook in hooks)


def _require_no_adapters(network: Any) -> None:
    """Adapters such as LoRA make another network of it, of which a calibration knows nothing."""
    original = uncompiled(network)
    if getattr(original, "_hf_peft_config_loaded", False):
        names = ", ".join(getattr(original, "peft_config", {}))
        raise InputError(
            f"drop-in: calibrated without adapters, the network has {names or 'some'}; unload them, or "
            "fuse and unload them, save the pipeline and calibrate that"
        )


def _unconditional_rows(pipe: Any, given: Mapping[str, Any], images: int) -> Tensor:
    """Which images (b,) of a network's call are of the branch without condition."""
    if "class_labels" in given and given["class_labels"] is not None:
        null = network_of(pipe).config.num_embeds_ada_norm
        return torch.as_tensor(given["class_labels"]).cpu() == null
    guided = pipe.do_classifier_free_guidance and given.get("skip_layers") is None
    return torch.arange(images) < (images // 2 if guided else 0)


def fingerprint_of(network: Any, expected: Any) -> str:
    """The network's fingerprint in float32, also where it was loaded in half precision.

    Args:
        network: of a pipeline.
        expected: a fingerprint; where it is the network's as it is, nothing need be loaded.

    Raises:
        InputError: the weights are offloaded, or in half precision and not known in float32.
    """
    if any(weight.is_meta for weight in network.state_dict().values()):
        raise InputError(
            "drop-in: expected a network with its weights, got one that offloads them part by part; "
            "attach the calibration first, then offload"
        )
    own, weights = network_fingerprint(network), network.state_dict()
    halves = {w.dtype for w in weights.values() if w.is_floating_point()} - {torch.float32}
    if own == expected or not halves:
        return own
    origin = Path(network.config.get("_name_or_path") or "")
    if not (origin / "config.json").is_file():
        raise InputError(
            f"drop-in: expected a network in float32, or the folder that it was loaded from, got "
            f"{network.dtype} without; attach before changing the dtype"
        )
    original, _ = load_part(type(network), origin, "cpu")
    exact = original.state_dict()
    same = exact.keys() == weights.keys() and all(
        torch.equal(exact[name].to(weight.dtype), weight.cpu()) for name, weight in weights.items()
    )
    return network_fingerprint(original) if same else own
