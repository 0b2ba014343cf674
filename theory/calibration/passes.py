"""What is calibrated, and a pass of the network over all of its images."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float64, Int64, Real
from torch import Tensor

from theory.calibration.accumulator import Accumulator, Tried
from theory.calibration.arguments import as_importance
from theory.calibration.memory_plan import MemoryPlan, plan_memory
from theory.calibration.progress import Progress
from theory.diffusion.likelihood_bound import gain_weights
from theory.estimators.control_variates import PLAIN, Estimator
from theory.estimators.device_sums import Sums
from theory.estimators.line_check import LineComparison
from theory.estimators.parts import Measured, PartEstimator
from theory.estimators.time_grid import TimeGrid
from theory.forward.fingerprints import fingerprint
from theory.forward.forward_pass import GROUPS, observe
from theory.forward.images import Conditions, ImageSet
from theory.forward.keyed_noise import Draws
from theory.forward.network import Network
from theory.forward.survey import Survey, survey
from theory.support.allocator import release_memory
from theory.support.checks import kind_of, require_whole
from theory.support.errors import InputError

PURPOSE = "calibrate"
"""Key of the noise, which validation does not share."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A network, the images to calibrate it on, and what is to be estimated.

    Attributes:
        network: the network with its schedule and target.
        images: with their conditions.
        survey: how many images there are, which, and their mean.
        times: (T,), distinct times of the schedule.
        importance: (T,), what a unit of gain at each time is worth.
        parts: what is to be subtracted, the constant shift first.
        seed: key of the noise, and of the order in which images are taken.
        device: where the network runs (default: where the images are).
        on_progress: called with the number of network evaluations after each call.
        progress: how far the passes have come.
        first_time: position of the first of the times among those that they are a block of.
    """

    network: Network
    images: ImageSet
    survey: Survey
    times: Real[Tensor, "time"]
    importance: Float64[Tensor, "time"]
    parts: tuple[PartEstimator, ...]
    seed: int
    device: Any = None
    on_progress: Callable[[int], None] | None = None
    progress: Progress = field(default_factory=Progress)
    first_time: int = 0

    def block(self, times: range) -> "Problem":
        """The same at some of the times, whose noise is what it is among all."""
        if len(times) == len(self.times):
            return self
        here = slice(times.start, times.stop)
        return replace(
            self, times=self.times[here], importance=self.importance[here],
            first_time=self.first_time + times.start,
            progress=self.progress.within(f"times {times.start} to {times.stop}"),
        )  # fmt: skip

    @property
    def grid(self) -> TimeGrid:
        """The times, as places on the schedule."""
        return TimeGrid(self.network.schedule, self.times)

    def accumulators(self, tried: Sequence[Tried]) -> list[Accumulator]:
        """Empty sums, one per time."""
        return [Accumulator(self.survey.mean_image, tried, self.parts) for _ in self.times]

    def sum_(
        self,
        sums: Sequence[Sums],
        draws: int,
        members: Bool[Tensor, "time image"] | None = None,
        order: Int64[Tensor, "image"] | None = None,
        turn: int = 0,
    ) -> None:
        """Add the network's predictions on noised images to the sums of each time, in place.

        Args:
            sums: of each time.
            draws: noise draws per image and time.
            members: (T, n), which images at which time (default: all).
            order: (n,), the place of each image's unit, in which units are dealt out to groups
                (default: as they come).
            turn: how many passes have added to these sums before.
        """
        group = (self.survey.units if order is None else order) % GROUPS
        draw = Draws(self.seed, PURPOSE, draws, self.first_time)
        observed = partial(
            observe, self.network, self.images, self.times, draw,
            members=members, group=group, device=self.device, on_progress=self.on_progress,
        )  # fmt: skip
        self.progress.sum_("pass", sums, lambda share: observed(share=share), turn)


def pose(
    network: Network,
    images: ImageSet,
    times: Real[Tensor, "time"],
    parts: tuple[PartEstimator, ...],
    *,
    seed: int,
    importance: Float64[Tensor, "time"] | None = None,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
    progress: Progress | None = None,
) -> Problem:
    """Check everything and look at the images once, before the network is run.

    Args:
        network, images, times, parts, seed, importance, device, on_progress, progress: as
            ``Problem`` has them; the default importance is the worth to the likelihood bound, and
            the progress is that of a part of the run, which has the name of these images.

    Raises:
        InputError: images that ``survey`` refuses, or importances that are no weights.
    """
    worth = (
        likelihood_worth(network, times)
        if importance is None
        else as_importance(importance, len(times))
    )
    look = survey(images)
    of_images = (progress or Progress()).within(pass_name(images.conditions, look, times, seed))
    return Problem(network, images, look, times, worth, parts, seed, device, on_progress, of_images)


def pass_name(
    conditions: Conditions | None, look: Survey, times: Real[Tensor, "time"], *settings: int
) -> str:
    """A name of passes over these images at these times: others have others."""
    known = [("ids", look.ids), ("units", look.units), ("times", times)]
    if isinstance(conditions, Tensor):
        known.append(("conditions", conditions))
        conditions = None
    return fingerprint(known, *map(str, settings), *map(str, conditions or ()))


def likelihood_worth(network: Network, times: Tensor) -> Tensor:
    """What a unit of gain at each time takes off the likelihood bound; ones for a single time."""
    weights = gain_weights(network.schedule, network.target, times)
    return weights if weights.sum() > 0 else torch.ones_like(weights)


@dataclass(frozen=True)
class Choice:
    """What was done at one time: estimator, images, and noise draws on each."""

    estimator: str
    images: int
    draws: int

    def __post_init__(self) -> None:
        """Raises: InputError, anything but a name and positive whole numbers."""
        if not isinstance(self.estimator, str):
            raise InputError(f"choice: expected an estimator's name, got {kind_of(self.estimator)}")
        require_whole("choice: images", self.images)
        require_whole("choice: draws", self.draws)

    @property
    def evaluations(self) -> int:
        """Network evaluations spent."""
        return self.images * self.draws


@dataclass(frozen=True, eq=False)
class PassResult:
    """What came of a pass over the images.

    Attributes:
        measured: what every part of a calibration may use.
        sums: what each part that has sums needs of them, one per time.
        choices: what was done at each time.
        plain_error_energy: error energy of the published plain average at as many evaluations, per
            time.
        evaluations: network evaluations spent in all.
        line_check: the network's errors beside those of the best line in x_t, per time.
        doubts: what else speaks against the network's description.
    """

    measured: Measured
    sums: Mapping[PartEstimator, Sequence[Any]]
    choices: tuple[Choice, ...]
    plain_error_energy: tuple[float, ...]
    evaluations: int
    line_check: tuple[LineComparison, ...]
    doubts: tuple[str, ...] = ()


def full_pass(problem: Problem, estimator: Estimator, draws: int) -> PassResult:
    """Every image at every time, ``draws`` noise draws each, as many times together as memory holds.

    The published plain average of one draw is measured beside the estimator, for comparison.

    Raises:
        InputError: memory does not suffice for one time.
    """
    plan = plan_of(problem, estimator, draws)
    plan.require_room()
    plan = replace(plan, together=_agreed(problem.progress, plan.together))
    found = [
        _pass_of_block(problem.block(times), estimator, draws, in_files=plan.in_files)
        for times in plan.blocks
    ]
    return found[0] if len(found) == 1 else _together(problem, found)


def _agreed(progress: Progress, together: int) -> int:
    """At how many times at once all processes measure, and did before the run was killed."""

    def least(progress: Progress) -> dict[str, int]:
        """The number for which every process has room."""
        return {"together": -progress.workers.largest(-together)[0]}

    return int(progress.once("blocks", least)["together"])


def plan_of(problem: Problem, estimator: Estimator, draws: int) -> MemoryPlan:
    """The memory of a full pass."""
    shape = tuple(problem.survey.mean_image.mean.shape)
    tried = _tried(estimator, draws)
    return plan_memory(shape, len(problem.times), problem.parts, tried, problem.device)


def _tried(estimator: Estimator, draws: int) -> tuple[Tried, Tried]:
    """What a full pass averages: the estimator and, for comparison, the plain average."""
    return (estimator, draws), (PLAIN, 1)


def _together(problem: Problem, blocks: Sequence[PassResult]) -> PassResult:
    """The pass over all times, from those over some."""
    measured = replace(
        blocks[0].measured, grid=problem.grid,
        moments=[m for block in blocks for m in block.measured.moments],
        noise_slopes=[s for block in blocks for s in block.measured.noise_slopes],
    )  # fmt: skip
    sums = {part: [s for block in blocks for s in block.sums[part]] for part in blocks[0].sums}
    return PassResult(
        measured, sums,
        tuple(choice for block in blocks for choice in block.choices),
        tuple(error for block in blocks for error in block.plain_error_energy),
        sum(block.evaluations for block in blocks),
        tuple(row for block in blocks for row in block.line_check),
    )  # fmt: skip


def _pass_of_block(
    problem: Problem, estimator: Estimator, draws: int, *, in_files: bool
) -> PassResult:
    """A full pass at times that are measured together."""
    kept, plain = _tried(estimator, draws)
    accumulators = problem.accumulators((kept, plain))
    problem.sum_(accumulators, draws)
    plain_errors = [
        a.to_("cpu").collectors[plain].moments(None).error_energy() / draws for a in accumulators
    ]
    for accumulator in accumulators:
        accumulator.keep(kept)
    choice = Choice(estimator.name, problem.survey.count, draws)
    choices = (choice,) * len(accumulators)
    found = pass_result(
        problem, accumulators, choices, plain_errors, choice.evaluations * len(choices),
        in_files=in_files,
    )  # fmt: skip
    if in_files:
        release_memory()
    return found


def pass_result(
    problem: Problem,
    accumulators: Sequence[Accumulator],
    choices: tuple[Choice, ...],
    plain_errors: Iterable[float],
    evaluations: int,
    *,
    in_files: bool = False,
) -> PassResult:
    """The result of a pass, from sums that each keep one estimator.

    Args:
        problem: what was measured.
        accumulators: of each time.
        choices: what was done at each time.
        plain_errors: error energy of the plain average at as many evaluations, per time.
        evaluations: network evaluations spent in all.
        in_files: whether what is large is kept in temporary files.
    """
    moments = [
        accumulator.moments(problem.survey, choice.images)
        for accumulator, choice in zip(accumulators, choices, strict=True)
    ]
    measured = Measured(
        problem.grid, problem.network.target, problem.survey.mean_image, moments,
        [choice.images * problem.survey.effective / problem.survey.count for choice in choices],
        [
            accumulator.kept().noise_slope()
            for accumulator in accumulators
            if any(part.takes_noise_slopes for part in problem.parts)
        ],
    )  # fmt: skip
    sums = {
        part: part.condensed(
            measured, [a.of_parts.pop(part) for a in accumulators], in_files=in_files
        )
        for part in list(accumulators[0].of_parts)
    }
    line_check = tuple(accumulator.line.comparison() for accumulator in accumulators)
    return PassResult(measured, sums, choices, tuple(plain_errors), evaluations, line_check)
