"""A fitted solver as a scheduler of diffusers, with which a pipeline samples unchanged.

    pipe.scheduler = fitted_scheduler("fitted.safetensors", pipe)
    images = pipe("a cat", num_inference_steps=10).images

Where the solver was fitted with a calibration, ``attach`` it before.
"""

from os import PathLike
from pathlib import Path
from typing import Any

import torch
from diffusers import ConfigMixin, SchedulerMixin
from diffusers.configuration_utils import register_to_config
from diffusers.schedulers.scheduling_utils import SchedulerOutput
from torch import Tensor

from real.calibrated.drop_in import fingerprint_of, is_attached, network_of, uncompiled
from real.calibrated.fitted_solvers import require_fitted_to
from real.families.diffusers.process import Process
from theory.diffusion import targets
from theory.diffusion.schedules import from_description
from theory.diffusion.targets import DATA, convert
from theory.sampling.fitted import FittedSolver
from theory.support.errors import InputError

FILE = "fitted_solver.safetensors"
"""Beside the scheduler's configuration, in a folder that ``save_pretrained`` wrote."""


def fitted_scheduler(fitted: FittedSolver | Path | str, pipe: Any = None) -> "FittedScheduler":
    """The scheduler of a fitted solver, or of the file of one.

    Args:
        fitted: the solver.
        pipe: the pipeline that it is for, which is then required to be the one that it was fitted to. A
            scheduler does not see the network, so that without it nothing is checked.

    Raises:
        InputError: as ``FittedSolver.load``, or it was not fitted to a checkpoint; or to another network
            than the pipeline's, or with a calibration where none is attached, or without where one is.
    """
    solver = fitted if isinstance(fitted, FittedSolver) else FittedSolver.load(fitted)
    made = solver.provenance
    if not {"schedule", "target", "time_scale"} <= made.keys():
        raise InputError(
            "fitted solver: expected one that `fit-solver` made, this names no schedule"
        )
    if pipe is not None:
        _require_pipeline(pipe, solver)
    scheduler = FittedScheduler(
        num_inference_steps=len(solver.base), fitted_to=made.get("checkpoint")
    )
    scheduler.use(solver)
    return scheduler


def _require_pipeline(pipe: Any, solver: FittedSolver) -> None:
    """Raises: InputError, the solver was fitted to another network, or to another calibration of it."""
    made, network = solver.provenance, network_of(pipe)
    fingerprint = fingerprint_of(uncompiled(network), made.get("fingerprint"))
    require_fitted_to(solver, fingerprint, "this pipeline")
    calibrated = any(made.get("calibrations", ()))
    if calibrated != is_attached(network):
        raise InputError(
            "fitted solver: fitted with a calibration, expected it to be attached before"
            if calibrated
            else "fitted solver: fitted without a calibration, expected none to be attached"
        )


class FittedScheduler(SchedulerMixin, ConfigMixin):
    """The scheduler of one fitted solver, at its own number of evaluations; ``fitted_scheduler`` makes it."""

    config_name = "scheduler_config.json"
    order = 1

    @register_to_config
    def __init__(self, num_inference_steps: int, fitted_to: str | None = None) -> None:
        self.solver: FittedSolver | None = None
        self.num_inference_steps = num_inference_steps

    def use(self, solver: FittedSolver) -> None:
        """Sample with this solver from now on."""
        made, base = solver.provenance, solver.base
        schedule = from_description(made["schedule"])
        self.solver = solver
        self.process = Process(schedule, targets.named(made["target"]), made["time_scale"])
        norm = torch.hypot(schedule.alpha(base.times), schedule.sigma(base.times))
        self._norms = [*norm.tolist(), 1.0]
        self.init_noise_sigma = self._norms[0]
        self.set_timesteps()

    def set_timesteps(
        self, num_inference_steps: int | None = None, device: Any = None, **more: Any
    ) -> None:
        """Begin a run.

        Raises:
            InputError: another number of steps than was fitted, or anything else that is asked for.
        """
        base = self._fitted().base
        asked = [name for name, value in more.items() if value is not None]
        if num_inference_steps not in (None, len(base)) or asked:
            got = ", ".join(asked) or f"{num_inference_steps}"
            raise InputError(
                f"fitted solver: expected num_inference_steps={len(base)}, as it was fitted, got {got}"
            )
        timesteps = base.times * self.process.time_scale
        self._expected: list[float] = timesteps.tolist()  # nobody waits for the device to read them
        self.timesteps = timesteps.to(device)
        self._data: list[Tensor] = []
        self._shown: Tensor | None = None

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        """What the network is shown: at the first evaluation the fitted start, then the sample itself."""
        solver = self._fitted()
        if self._data or solver.start is None:
            return sample
        norm = self._norms[0]
        halves = sample.chunk(2) if len(sample) % 2 == 0 else (sample,)
        guided = len(halves) == 2 and torch.equal(*halves)
        noise = (halves[0] if guided else sample).float() / norm
        self._here = solver.to(noise)
        self._shown = norm * self._here.begin(noise)
        shown = self._shown.to(sample)
        return torch.cat([shown, shown]) if guided else shown

    def step(
        self,
        model_output: Tensor,
        timestep: Any,
        sample: Tensor,
        *unused: Any,
        return_dict: bool = True,
        **also_unused: Any,
    ) -> SchedulerOutput | tuple[Tensor]:
        """The next sample.

        Raises:
            InputError: a run that does not begin at the first time, such as from an image; or of a
                pipeline that shows the first noise to its network as it is, if a start was fitted.
        """
        solver, i = self._fitted(), len(self._data)
        if i >= len(self._expected) or abs(float(timestep) - self._expected[i]) > 0.5:
            raise InputError(
                "fitted solver: expected the steps that it was fitted for, from the first, got one at "
                f"{float(timestep):g}; runs from an image are not among them"
            )
        x_t = sample.float()
        if i == 0 and solver.start is not None:
            if self._shown is None:
                raise InputError(
                    "fitted solver: this pipeline shows noise to its network as it is, which leaves no room "
                    "for a start; fit with --parts trajectory,marginals"
                )
            x_t = self._shown
        if i == 0:
            self._here = solver.to(x_t)
        t = solver.base.times[i]
        y = model_output[:, : x_t.shape[1]].float()
        x_0 = convert(y, x_t, t, self.process.target, DATA, self.process.schedule)
        self._data.append(solver.clipped(x_0))
        following = self._here.step(i, x_t / self._norms[i], self._data)
        moved = (self._norms[i + 1] * following).to(sample.dtype)
        return SchedulerOutput(prev_sample=moved) if return_dict else (moved,)

    def add_noise(self, *_: Any) -> Tensor:
        """Raises: InputError, as runs from an image are not what was fitted."""
        raise InputError("fitted solver: expected a run from noise, not from an image")

    def save_pretrained(self, save_directory: str | PathLike[str], **more: Any) -> None:
        """Write the configuration and the solver into a folder."""
        super().save_pretrained(save_directory, **more)
        self._fitted().save(Path(save_directory) / FILE)

    @classmethod
    def from_pretrained(cls, folder: str | PathLike[str], **more: Any) -> "FittedScheduler":
        """Read what ``save_pretrained`` wrote; ``subfolder`` is taken as elsewhere."""
        return fitted_scheduler(Path(folder) / (more.get("subfolder") or "") / FILE)

    def _fitted(self) -> FittedSolver:
        if self.solver is None:
            raise InputError(
                "fitted solver: expected one; fitted_scheduler(path) makes the scheduler"
            )
        return self.solver
