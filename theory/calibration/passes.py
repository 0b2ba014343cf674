"""Run a network over images and collect the moments of one or several estimators at every time."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from jaxtyping import Bool, Float64, Int64, Real
from torch import Tensor

from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import Target
from theory.estimators.affine_sums import AffineSums
from theory.estimators.class_shift import ClassSums
from theory.estimators.control_variates import NAMED, PLAIN, Collector, Estimator
from theory.forward.forward_pass import Observation, Predict, observe
from theory.forward.images import Conditions, Images, batches
from theory.forward.survey import MeanImage, Survey
from theory.statistics.moments import Moments
from theory.statistics.neyman_allocation import (
    GROWTH,
    PILOT_IMAGES,
    Goal,
    allocate,
    evaluations_for,
)
from theory.support.checks import kind_of, require_whole
from theory.support.errors import InputError

LEAST_IMAGES, PILOT_DRAWS = 2, 2
"""Images and draws at each time without which a pilot tells nothing."""


@dataclass(frozen=True)
class Setup:
    """A network, its images, and everything else that a pass over them needs.

    ``importance`` is what a unit of gain at each time is worth.
    """

    predict: Predict
    schedule: Schedule
    target: Target
    images: Images
    survey: Survey
    times: Real[Tensor, "time"]
    seed: int
    batch_size: int
    importance: Float64[Tensor, "time"]
    order: int
    classes: int | None
    device: Any = None
    on_progress: Callable[[int], None] | None = None
    conditions: Conditions | None = None
    reference: Predict | None = None

    def observe(
        self,
        draws: int,
        members: Bool[Tensor, "time image"] | None = None,
        rank: Int64[Tensor, "image"] | None = None,
    ) -> Iterable[Observation]:
        """Observations of the chosen images, or of all."""
        return observe(
            self.predict, self.schedule, self.target, 
            batches(self.images, self.batch_size, self.conditions), self.times,
            seed=self.seed, purpose="calibrate", draws=draws, members=members, rank=rank,
            reference=self.reference, device=self.device, on_progress=self.on_progress,
        )  # fmt: skip

    def affine_sums(self) -> list[AffineSums]:
        """Empty sums of order 1, one per time; none for order 0."""
        shape = tuple(self.survey.mean_image.mean.shape)
        return [AffineSums(shape) for _ in self.times] if self.order else []

    def class_sums(self) -> list[ClassSums]:
        """Empty sums by class, one per time; none where classes are not told apart."""
        shape = tuple(self.survey.mean_image.mean.shape)
        return [ClassSums(shape, self.classes) for _ in self.times] if self.classes else []

    def collectors(self, estimator: Estimator) -> list[Collector]:
        """Empty collectors, one per time."""
        shape = tuple(self.survey.mean_image.mean.shape)
        return [estimator.collector(shape) for _ in self.times]


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


@dataclass(frozen=True)
class Measured:
    """The moments of each time, how they were come by, and what the plain average would have erred."""

    moments: list[Moments]
    choices: list[Choice]
    plain_error_energy: list[float]
    evaluations: int
    affine: list[AffineSums]
    by_class: list[ClassSums]
    noise_slopes: list[Tensor]


def over_all(setup: Setup, estimator: Estimator, draws: int) -> Measured:
    """Every image at every time."""
    collectors, plain = setup.collectors(estimator), setup.collectors(PLAIN)
    affine, by_class = setup.affine_sums(), setup.class_sums()
    for seen in setup.observe(draws):
        for sums in (affine, by_class):
            if sums:
                sums[seen.time_index].add_(seen)
        collectors[seen.time_index].add_(seen)
        plain[seen.time_index].add_(seen.first(1))
    for kept in (*collectors, *plain, *affine, *by_class):
        kept.to_("cpu")
    choice = Choice(estimator.name, setup.survey.count, draws)
    return Measured(
        [c.moments(None) for c in collectors],
        [choice] * len(collectors),
        [c.moments(None).error_energy() / draws for c in plain],
        choice.evaluations * len(collectors),
        affine,
        by_class,
        [c.noise_slope() for c in collectors],
    )


class Sequential:
    """Pilot, choose, allocate, stop: evaluations where they lower the error of the bound most.

    A pilot on few images, in antithetic pairs, tries every estimator with one draw and with two;
    at each time the one of least variance per evaluation goes on. Images come in an order drawn
    from the seed.

    Raises:
        InputError: a number of evaluations that not even the smallest pilot keeps to.
    """

    def __init__(self, setup: Setup, goal: Goal) -> None:
        self.setup, self.goal = setup, goal
        count, times = setup.survey.count, len(setup.times)
        least = LEAST_IMAGES * PILOT_DRAWS * times
        if goal.evaluations is not None and goal.evaluations < least:
            raise InputError(
                f"budget: expected at least {least} evaluations for {times} times "
                f"({LEAST_IMAGES} images with {PILOT_DRAWS} draws at each), got {goal.evaluations}"
            )
        generator = torch.Generator().manual_seed(setup.seed)
        self.rank = torch.randperm(count, generator=generator)
        self.taken = torch.zeros(times, dtype=torch.int64)
        self.affine, self.by_class = setup.affine_sums(), setup.class_sums()
        self.pilot_evaluations = 0

    def run(self) -> Measured:
        """Measure until the goal is met, the budget is spent, or the images are used up."""
        self._pilot()
        while (wanted := self._wanted()).gt(self.taken).any():
            self._take(wanted)
        for sums in (*self.affine, *self.by_class):
            sums.to_("cpu")
        choices = [
            Choice(name, taken, draws)
            for (name, draws), taken in zip(self.chosen, self.taken.tolist(), strict=True)
        ]
        plain_error_energy = [
            variance / choice.evaluations
            for variance, choice in zip(self.plain_variance, choices, strict=True)
        ]
        return Measured(
            self._moments(),
            choices,
            plain_error_energy,
            self.evaluations,
            self.affine,
            self.by_class,
            [c.noise_slope() for c in self.collectors],
        )

    @property
    def evaluations(self) -> int:
        """Network evaluations spent so far; those of the pilot that were not kept included."""
        return self.pilot_evaluations + int(((self.taken - self.pilot_images) * self.cost).sum())

    def _pilot(self) -> None:
        count = self.setup.survey.count
        images = min(PILOT_IMAGES, count)
        if self.goal.evaluations is not None:
            images = min(images, self.goal.evaluations // (PILOT_DRAWS * len(self.setup.times)))
        candidates = list(product(NAMED, (1, 2)))
        trial = {c: self.setup.collectors(NAMED[c[0]]) for c in candidates}
        for seen in self._observe(PILOT_DRAWS, torch.full_like(self.taken, images)):
            for (_, draws), collectors in trial.items():
                collectors[seen.time_index].add_(seen.first(draws))
        self.taken += images
        self.pilot_images = images
        self.pilot_evaluations = PILOT_DRAWS * images * len(self.taken)
        everyone = self._everyone()
        self.chosen, self.collectors, self.plain_variance = [], [], []
        for k in range(len(self.taken)):
            variance = {
                (name, draws): trial[name, draws][k].to_("cpu").moments(everyone).error_energy()
                * images
                * draws
                for name, draws in candidates
            }
            best = min(candidates, key=variance.__getitem__)
            self.plain_variance.append(variance[PLAIN.name, 1])
            self.chosen.append(best)
            self.collectors.append(trial[best][k])
        self.cost = torch.tensor([draws for _, draws in self.chosen])

    def _everyone(self) -> MeanImage:
        return self.setup.survey.mean_image

    def _moments(self) -> list[Moments]:
        everyone, count = self._everyone(), self.setup.survey.count
        return [
            collector.to_("cpu").moments(everyone if taken < count else None)
            for collector, taken in zip(self.collectors, self.taken.tolist(), strict=True)
        ]

    def _wanted(self) -> Tensor:
        """Images per time after the next round; no more than taken where nothing is wanted."""
        moments, most = self._moments(), self.setup.survey.count
        errors = torch.tensor([m.error_energy() for m in moments], dtype=torch.float64)
        variance = self.setup.importance * errors.clamp(min=0) * self.taken
        evaluations = float(GROWTH * self.evaluations)
        if self.goal.precision is not None:
            signal = sum(
                w * m.squared_norm().value
                for w, m in zip(self.setup.importance.tolist(), moments, strict=True)
            )
            allowed = self.goal.precision * max(signal, 0.0)
            if (self.setup.importance * errors).sum().item() <= allowed:
                return self.taken
            evaluations = min(evaluations, evaluations_for(variance, self.cost, allowed))
        if self.goal.evaluations is not None:
            evaluations = min(evaluations, float(self.goal.evaluations))
        wanted = allocate(variance, self.cost, evaluations, most)
        return self._within_budget(torch.maximum(wanted, self.taken))

    def _within_budget(self, wanted: Tensor) -> Tensor:
        """Cut a round so that what is spent does not pass the number of evaluations."""
        if self.goal.evaluations is None:
            return wanted
        left = max(0, self.goal.evaluations - self.evaluations)
        more = (wanted - self.taken) * self.cost
        share = min(1.0, left / max(1, int(more.sum())))
        return self.taken + ((wanted - self.taken) * share).floor().long()

    def _take(self, wanted: Tensor) -> None:
        for draws in (1, 2):
            here = torch.where(self.cost == draws, wanted, self.taken)
            for seen in self._observe(draws, here):
                self.collectors[seen.time_index].add_(seen)
        self.taken = torch.maximum(self.taken, wanted)

    def _observe(self, draws: int, until: Tensor) -> Iterator[Observation]:
        for seen in self.setup.observe(draws, self._members(until), self.rank):
            for sums in (self.affine, self.by_class):
                if sums:
                    sums[seen.time_index].add_(seen)
            yield seen

    def _members(self, until: Tensor) -> Tensor:
        """Images of rank from ``taken`` to ``until``, per time: (time, image) booleans."""
        return (self.rank >= self.taken[:, None]) & (self.rank < until[:, None])
