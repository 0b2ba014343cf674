"""Ways to sample from one network that can be told apart by samples alone: calibrated, fitted, or both."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from real.calibrated.calibrate import calibrate_checkpoint
from real.calibrated.conditions import of_images
from real.calibrated.fitted_solvers import digest_of, fit_checkpoint_solver, unfitted_solver
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


@dataclass(frozen=True)
class Candidate:
    """A way to sample.

    Attributes:
        calibration: of the network; None for none.
        fitted: the solver, with what was fitted to it.
    """

    calibration: Calibration | None
    fitted: FittedSolver

    def sampler(self, checkpoint: Checkpoint) -> tuple[Predict, Solver]:
        """The prediction and the solver to sample with."""
        return _calibrated(checkpoint, self.calibration), as_solver(self.fitted)

    def save(
        self, path: Path, figures: Mapping[str, Any], provenance: Mapping[str, Any]
    ) -> tuple[Path, ...]:
        """Write the solver, and the calibration that it goes with beside it, if it has one.

        Args:
            path: of the solver.
            figures, provenance: that are kept with the solver, beside its own.
        """
        beside = path.with_name(f"{path.stem}.calibration{path.suffix}")
        if self.calibration is not None:
            self.calibration.save(beside)
        digest = digest_of(None if self.calibration is None else beside)
        made = {**self.fitted.provenance, "guidance": 0.0, "calibrations": [digest, None]}
        replace(
            self.fitted,
            figures={**self.fitted.figures, **figures},
            provenance={**made, **provenance},
        ).save(path)
        return (path,) if self.calibration is None else (path, beside)


def _calibrated(checkpoint: Checkpoint, calibration: Calibration | None) -> Predict:
    own = checkpoint.predict
    return own if calibration is None else Calibrated(own, calibration)


@dataclass(frozen=True)
class Candidates:
    """Makes the candidates of a network.

    Attributes:
        checkpoint: the network.
        images: to calibrate and fit with, as the network takes them.
        solvers: what is calibrated, and others that may be fitted in its place.
        nfe: evaluations, at most.
        others: solvers that are tried as they are.
        seed: of everything random.
        flow: batch_size, device and on_progress.
    """

    checkpoint: Checkpoint
    images: ImageSource
    solvers: tuple[str, ...]
    nfe: int
    others: tuple[str, ...]
    seed: int
    flow: dict[str, Any]

    def made(self) -> Iterator[tuple[str, Candidate]]:
        """Each with its name, nothing first. A calibration that changes nothing is left out."""
        yield NOTHING, Candidate(None, self._unfitted(self.solvers[0]))
        for name in self.others:
            yield name, Candidate(None, self._unfitted(name))
        calibrations: dict[str | None, Calibration | None] = {None: None}
        for name, calibration in self._calibrations():
            if any(calibration.applied(part).any() for part in calibration.parts):
                calibrations[name] = calibration
                yield name, Candidate(calibration, self._unfitted(self.solvers[0]))
        for name, (correction, parts) in FITTED.items():
            if correction in calibrations:
                yield name, self._fitted(calibrations[correction], parts)

    def _unfitted(self, solver: str) -> FittedSolver:
        return unfitted_solver(self.checkpoint, solver, self.nfe)

    def _calibrations(self) -> Iterator[tuple[str, Calibration]]:
        times = self._times()
        whole = self._calibration(times)
        yield ORDER_0, whole.shift_alone()
        yield ORDER_1, whole
        noisy = times[self.checkpoint.schedule.log_snr(times) <= 0]
        if 0 < len(noisy) < len(times):
            yield HIGH_NOISE, self._calibration(noisy)

    def _calibration(self, times: Tensor) -> Calibration:
        images = self.images.spread(MOST_IMAGES)
        return calibrate_checkpoint(
            self.checkpoint, images, times, seed=self.seed, device=self.flow["device"],
            on_progress=self.flow["on_progress"],
            conditions=of_images(self.checkpoint, images, "joint"),
        )  # fmt: skip

    def _times(self) -> Tensor:
        """Those of the solver, and others spread over the schedule."""
        schedule = self.checkpoint.schedule
        spread = schedule.times(schedule.grid(SPREAD))
        return torch.cat(
            [spread, solver_times(self.checkpoint, self.solvers[0], self.nfe)]
        ).unique()

    def _fitted(self, calibration: Calibration | None, parts: tuple[str, ...]) -> Candidate:
        fitted = fit_checkpoint_solver(
            self.checkpoint, _calibrated(self.checkpoint, calibration), self.solvers, self.nfe,
            images=self.images, parts=parts, flow=self.flow, seed=self.seed, fresh=LEAST_STARTS,
            conditions=of_images(self.checkpoint, self.images, "joint"),
        )  # fmt: skip
        return Candidate(calibration, fitted)
