"""Ways to sample from one network that can be told apart by samples alone: calibrated, fitted, or both."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from real.calibrated.calibrate import calibrate_checkpoint
from real.calibrated.conditions import ConditionKind, of_images
from real.calibrated.fitted_solvers import digest_of, fit_checkpoint_solver, unfitted_solver
from real.calibrated.guidance import guided
from real.families.checkpoint import Checkpoint
from real.images.base import ImageSource
from real.solvers.base import Solver
from real.solvers.fitted import as_solver
from real.solvers.sampling import solver_times
from theory.calibration import Calibrated, Calibration
from theory.forward.network import Predict
from theory.sampling.fit import LEAST_STARTS
from theory.sampling.fitted import MARGINALS, PARTS, START, TRAJECTORY, FittedSolver

NOTHING = "nothing"
OTHER_SOLVERS = ("dpm-multi-2", "unipc")
MOST_IMAGES = 500
"""Of those that a calibration is made from."""
SPREAD = 20
"""Times of a calibration, beside those of the solver."""

ORDER_0, ORDER_1, HIGH_NOISE = "order 0", "order 1", "order 1 at high noise"
FITTED = {
    "start": (None, (START,)),
    "trajectory": (None, (TRAJECTORY,)),
    "marginals": (None, (MARGINALS,)),
    "all fitted": (None, PARTS),
    "order 1, all fitted": (ORDER_1, PARTS),
}
"""Which calibration and which parts of a fit."""

MEANING = {
    NOTHING: "the network and its solver as they are",
    ORDER_0: "calibrated, a constant shift at each time",
    ORDER_1: "calibrated, a shift and slopes at each time",
    HIGH_NOISE: "the same, only where noise outweighs the image",
    "start": "starts take the mean and leading covariance of noised images",
    "trajectory": "steps fitted to the network's own fine solution",
    "marginals": "steps led to the mean and variances of noised images",
    "all fitted": "start, trajectory and marginals",
    "order 1, all fitted": "calibrated in order 1, and all three fitted",
}


def meaning_of(name: str) -> str:
    """What a candidate does, in a few words."""
    return MEANING.get(name, f"the solver {name}, nothing fitted")


@dataclass(frozen=True)
class Candidate:
    """A way to sample.

    Attributes:
        calibrations: of the network; of both its branches under guidance.
        fitted: the solver, with what was fitted to it.
    """

    calibrations: "Branches"
    fitted: FittedSolver

    def sampler(self, checkpoint: Checkpoint) -> tuple[Predict, Solver]:
        """The prediction and the solver to sample with."""
        return self.calibrations.prediction(checkpoint), as_solver(self.fitted)

    def save(
        self, path: Path, figures: Mapping[str, Any], provenance: Mapping[str, Any]
    ) -> tuple[Path, ...]:
        """Write the solver, and the calibrations that it goes with beside it, if it has any.

        Args:
            path: of the solver.
            figures, provenance: that are kept with the solver, beside its own.
        """
        beside = self.calibrations.save(path)
        made = {
            **self.fitted.provenance, "guidance": self.calibrations.guidance,
            "calibrations": [digest_of(file) for file in beside],
        }  # fmt: skip
        replace(
            self.fitted,
            figures={**self.fitted.figures, **figures},
            provenance={**made, **provenance},
        ).save(path)
        return path, *filter(None, beside)


@dataclass(frozen=True)
class Branches:
    """The calibrations of a prediction, and its guidance.

    Attributes:
        guidance: strength of classifier-free guidance; 0 for none.
        joint: of the network with its conditions, or of one without; None for none.
        null: under guidance, of the branch without condition; None for none.
    """

    guidance: float
    joint: Calibration | None = None
    null: Calibration | None = None

    def prediction(self, checkpoint: Checkpoint) -> Predict:
        """What is sampled with."""
        own = checkpoint.predict
        joint, null = (
            own if made is None else Calibrated(own, made) for made in (self.joint, self.null)
        )
        return guided(joint, null, checkpoint.null_condition, self.guidance)

    def shift_alone(self) -> "Branches":
        """The same with nothing but their constant shifts."""
        joint, null = (made and made.shift_alone() for made in (self.joint, self.null))
        return Branches(self.guidance, joint, null)

    @property
    def change_anything(self) -> bool:
        """Whether anything is subtracted."""
        made = filter(None, (self.joint, self.null))
        return any(each.applied(part).any() for each in made for part in each.parts)

    def save(self, path: Path) -> tuple[Path | None, Path | None]:
        """Write them beside a file; where each lies, None for none."""
        return _beside(path, "calibration", self.joint), _beside(path, "unconditional", self.null)


def _beside(path: Path, name: str, calibration: Calibration | None) -> Path | None:
    """Write a calibration beside a file; where it lies."""
    if calibration is None:
        return None
    beside = path.with_name(f"{path.stem}.{name}{path.suffix}")
    calibration.save(beside)
    return beside


@dataclass(frozen=True)
class Candidates:
    """Makes the candidates of a network.

    Attributes:
        checkpoint: the network.
        images: to calibrate and fit with, as the network takes them.
        solvers: what is calibrated, and others that may be fitted in its place.
        nfe: evaluations, at most.
        others: solvers that are tried as they are.
        guidance: strength of classifier-free guidance; 0 for none.
        seed: of everything random.
        flow: batch_size, device and on_progress.
    """

    checkpoint: Checkpoint
    images: ImageSource
    solvers: tuple[str, ...]
    nfe: int
    others: tuple[str, ...]
    guidance: float
    seed: int
    flow: dict[str, Any]

    def made(self) -> Iterator[tuple[str, Candidate]]:
        """Each with its name, nothing first. A calibration that changes nothing is left out."""
        bare = Branches(self.guidance)
        yield NOTHING, Candidate(bare, self._unfitted(self.solvers[0]))
        for name in self.others:
            yield name, Candidate(bare, self._unfitted(name))
        calibrations: dict[str | None, Branches] = {None: bare}
        for name, made in self._calibrations():
            if made.change_anything:
                calibrations[name] = made
                yield name, Candidate(made, self._unfitted(self.solvers[0]))
        for name, (correction, parts) in FITTED.items():
            if correction in calibrations:
                yield name, self._fitted(calibrations[correction], parts)

    def _unfitted(self, solver: str) -> FittedSolver:
        return unfitted_solver(self.checkpoint, solver, self.nfe)

    def _calibrations(self) -> Iterator[tuple[str, Branches]]:
        times = self._times()
        whole = self._branches(times)
        yield ORDER_0, whole.shift_alone()
        yield ORDER_1, whole
        noisy = times[self.checkpoint.schedule.log_snr(times) <= 0]
        if 0 < len(noisy) < len(times):
            yield HIGH_NOISE, self._branches(noisy)

    def _branches(self, times: Tensor) -> Branches:
        null = self._calibration(times, "null") if self.guidance else None
        return Branches(self.guidance, self._calibration(times, "joint"), null)

    def _calibration(self, times: Tensor, law: ConditionKind) -> Calibration:
        images = self.images.spread(MOST_IMAGES)
        return calibrate_checkpoint(
            self.checkpoint, images, times, seed=self.seed, device=self.flow["device"],
            on_progress=self.flow["on_progress"],
            conditions=of_images(self.checkpoint, images, law),
        )  # fmt: skip

    def _times(self) -> Tensor:
        """Those of the solver, and others spread over the schedule."""
        schedule = self.checkpoint.schedule
        spread = schedule.times(schedule.grid(SPREAD))
        return torch.cat(
            [spread, solver_times(self.checkpoint, self.solvers[0], self.nfe)]
        ).unique()

    def _fitted(self, calibrations: Branches, parts: tuple[str, ...]) -> Candidate:
        fitted = fit_checkpoint_solver(
            self.checkpoint, calibrations.prediction(self.checkpoint), self.solvers, self.nfe,
            images=self.images, parts=parts, flow=self.flow, seed=self.seed, fresh=LEAST_STARTS,
            conditions=of_images(self.checkpoint, self.images, "joint"),
        )  # fmt: skip
        return Candidate(calibrations, fitted)
