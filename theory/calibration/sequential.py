"""A pass that spends network evaluations where they lower the error of the bound most."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from theory.calibration.accumulator import Tried
from theory.calibration.passes import Choice, PassResult, Problem, pass_result
from theory.estimators.control_variates import NAMED, PLAIN, Collector
from theory.statistics.moments import Moments
from theory.statistics.neyman_allocation import (
    GROWTH,
    PILOT_IMAGES,
    Goal,
    allocate,
    evaluations_for,
)
from theory.support.errors import InputError

LEAST_IMAGES, PILOT_DRAWS = 2, 2
"""Images and draws at each time without which a pilot tells nothing."""

CANDIDATES: tuple[Tried, ...] = tuple(product(NAMED.values(), (1, 2)))
"""Every estimator with one draw and with two."""


def sequential_pass(problem: Problem, goal: Goal) -> PassResult:
    """Pilot, choose, allocate by Neyman's rule, and stop at the goal.

    Raises:
        InputError: a number of evaluations that not even the smallest pilot keeps to.
    """
    return _Sequential(problem, goal).run()


class _Sequential:
    """A pilot on few images, in antithetic pairs, tries every candidate.

    At each time the one of least variance per evaluation goes on. Units come in an order drawn from
    the seed, the images of one after the other.
    """

    def __init__(self, problem: Problem, goal: Goal) -> None:
        self.problem, self.goal = problem, goal
        times = len(problem.times)
        least = LEAST_IMAGES * PILOT_DRAWS * times
        if goal.evaluations is not None and goal.evaluations < least:
            raise InputError(
                f"budget: expected at least {least} evaluations for {times} times "
                f"({LEAST_IMAGES} images with {PILOT_DRAWS} draws at each), got {goal.evaluations}"
            )
        generator = torch.Generator().manual_seed(problem.seed)
        units = problem.survey.units
        self.order = torch.randperm(problem.survey.effective, generator=generator)[units]
        by_rank = problem.survey.ranks.argsort()
        self.rank = by_rank[self.order[by_rank].argsort(stable=True)].argsort()
        self.taken = torch.zeros(times, dtype=torch.int64)
        self.turn = 0
        self.accumulators = problem.accumulators(CANDIDATES)

    def run(self) -> PassResult:
        """Measure until the goal is met, the budget is spent, or the images are used up."""
        self._pilot()
        while (wanted := self._next_round()).gt(self.taken).any():
            self._take(wanted)
        choices = tuple(
            Choice(estimator.name, taken, draws)
            for (estimator, draws), taken in zip(self.chosen, self.taken.tolist(), strict=True)
        )
        plain_errors = [
            variance / choice.evaluations
            for variance, choice in zip(self.plain_variance, choices, strict=True)
        ]
        accumulators = [accumulator.to_("cpu") for accumulator in self.accumulators]
        return pass_result(self.problem, accumulators, choices, plain_errors, self.evaluations)

    @property
    def evaluations(self) -> int:
        """Network evaluations spent so far; those of the pilot that were not kept included."""
        return self.pilot_evaluations + int(((self.taken - self.pilot_images) * self.cost).sum())

    def _pilot(self) -> None:
        images, times = min(PILOT_IMAGES, self.problem.survey.count), len(self.taken)
        if self.goal.evaluations is not None:
            images = min(images, self.goal.evaluations // (PILOT_DRAWS * times))
        self._observe(PILOT_DRAWS, torch.full_like(self.taken, images))
        self.taken += images
        self.pilot_images, self.pilot_evaluations = images, PILOT_DRAWS * images * times
        found = self.problem.progress.once("pilot", lambda _: self._pilot_result())
        self.plain_variance: list[float] = found["plain_variance"]
        self.chosen = [CANDIDATES[k] for k in found["chosen"]]
        for accumulator, best in zip(self.accumulators, self.chosen, strict=True):
            accumulator.keep(best)
        self.cost = torch.tensor([draws for _, draws in self.chosen])

    def _pilot_result(self) -> dict[str, list[Any]]:
        """Of each time, which candidate goes on, and the variance of the plain average."""
        chosen, plain = [], []
        for accumulator in self.accumulators:
            variance = [
                self._variance(accumulator.collectors[tried].to_("cpu"), tried)
                for tried in CANDIDATES
            ]
            chosen.append(min(range(len(CANDIDATES)), key=variance.__getitem__))
            plain.append(variance[CANDIDATES.index((PLAIN, 1))])
        return {"chosen": chosen, "plain_variance": plain}

    def _next_round(self) -> Int64[Tensor, "time"]:
        found = self.problem.progress.once(
            f"round {self.turn}", lambda _: {"wanted": self._wanted().tolist()}
        )
        return torch.tensor(found["wanted"])

    def _variance(self, collector: Collector, tried: Tried) -> float:
        """Variance of one evaluation."""
        moments = collector.moments(self.problem.survey.mean_image)
        return moments.error_energy() * self.pilot_images * tried[1]

    def _moments(self) -> Sequence[Moments]:
        return [
            accumulator.moments(self.problem.survey, taken)
            for accumulator, taken in zip(self.accumulators, self.taken.tolist(), strict=True)
        ]

    def _wanted(self) -> Int64[Tensor, "time"]:
        """Images per time after the next round; no more than taken where nothing is wanted."""
        moments, most = self._moments(), self.problem.survey.count
        errors = torch.tensor([m.error_energy() for m in moments], dtype=torch.float64)
        importance = self.problem.importance
        variance = importance * errors.clamp(min=0) * self.taken
        evaluations = float(GROWTH * self.evaluations)
        if self.goal.precision is not None:
            norms = [m.squared_norm().value for m in moments]
            signal = sum(w * norm for w, norm in zip(importance.tolist(), norms, strict=True))
            allowed = self.goal.precision * max(signal, 0.0)
            if (importance * errors).sum().item() <= allowed:
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
            self._observe(draws, torch.where(self.cost == draws, wanted, self.taken))
        self.taken = torch.maximum(self.taken, wanted)

    def _observe(self, draws: int, until: Int64[Tensor, "time"]) -> None:
        """Sum over the images of rank from ``taken`` to ``until``, per time."""
        members = (self.rank >= self.taken[:, None]) & (self.rank < until[:, None])
        self.problem.sum_(self.accumulators, draws, members, self.order, self.turn)
        self.turn += 1
