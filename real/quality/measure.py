"""Samples of two networks against real images, such as with and without calibration: over evaluations,
repeated over seeds.

Both start from the same noise, and so do all numbers of evaluations of one seed; what is said of
their difference is paired. Intervals are Student's over the seeds: they speak of the noise that
samples start from, not of the choice of the real images.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from real.families.checkpoint import Checkpoint
from real.images.base import ImageSource
from real.quality.distances import frechet_distance, kernel_distance, tint
from real.quality.features import Features, features_of
from real.solvers.base import Solver
from real.solvers.sampling import latents, sample
from theory.forward.images import Conditions
from theory.forward.network import Predict
from theory.statistics.intervals import Estimate
from theory.support.errors import InputError

LEAST_SEEDS = 3
MEASURES = ("frechet", "kid", "tint")


@dataclass(frozen=True)
class Reference:
    """Real images that samples are compared with.

    Attributes:
        features: what they are compared by.
        rows: features (n, d) of the images.
        mean: their mean colour (c,).
        device: where features are computed.
    """

    features: Features
    rows: Tensor
    mean: Tensor
    device: Any

    @classmethod
    def of(cls, features: Features, images: ImageSource, device: Any) -> "Reference":
        """The reference that these images make."""
        means = [batch.double().mean((2, 3)) for batch in images]
        return cls(
            features, features_of(features, images, device), torch.cat(means).mean(0), device
        )

    def of_real(self, images: ImageSource, seed: int) -> dict[str, Any]:
        """Distances of other real images: what samples could at best be expected to reach."""
        return self.against(torch.cat(list(images)), seed, images.batch_size)

    def against(self, images: Tensor, seed: int, batch_size: int) -> dict[str, Any]:
        """Distances of images (n, c, h, w): ``frechet``, ``kid`` with its interval, ``tint``.

        The tint is the root mean square over channels; ``tint_channels`` has each.
        """
        rows = features_of(self.features, images.split(batch_size), self.device)
        kid, off = kernel_distance(rows, self.rows, seed), tint(images, self.mean)
        return {
            "frechet": frechet_distance(rows, self.rows),
            "kid": kid.value,
            "kid_lower": kid.lower,
            "kid_upper": kid.upper,
            "tint": off.square().mean().sqrt().item(),
            "tint_channels": off.tolist(),
        }


@dataclass(frozen=True)
class Sampler:
    """A way to sample: a prediction, and a solver or its name."""

    predict: Predict
    solver: Solver | str

    @property
    def name(self) -> str:
        """Of the solver."""
        return self.solver if isinstance(self.solver, str) else self.solver.name


@dataclass(frozen=True)
class QualityPlan:
    """What is sampled, and how.

    Attributes:
        checkpoint: the network's schedule, target and codec.
        samplers: the two that are compared, by name, such as ``before`` and ``after`` calibration.
        nfe: numbers of network evaluations per sample.
        seeds: of the noise that samples start from.
        samples: how many, for each network, number of evaluations and seed.
        batch_size: samples per network call.
        device: of the network.
        condition: one for each sample, where the network takes conditions.
        on_progress: called with the number of samples after each evaluation.

    Raises:
        InputError: fewer seeds than an interval needs.
    """

    checkpoint: Checkpoint
    samplers: dict[str, Sampler]
    nfe: tuple[int, ...]
    seeds: tuple[int, ...]
    samples: int
    batch_size: int
    device: Any
    condition: Conditions | None = None
    on_progress: Callable[[int], None] | None = None

    def __post_init__(self) -> None:
        if len(self.seeds) < LEAST_SEEDS:
            raise InputError(f"seeds: expected at least {LEAST_SEEDS}, got {len(self.seeds)}")

    @property
    def evaluations(self) -> int:
        """How many network evaluations the plan takes."""
        return len(self.samplers) * self.samples * len(self.seeds) * sum(self.nfe)


def measure_quality(plan: QualityPlan, reference: Reference) -> Iterator[dict[str, Any]]:
    """One row per network, number of evaluations and seed."""
    for seed in plan.seeds:
        noise = latents(plan.checkpoint, plan.samples, seed).to(plan.device)
        for nfe in plan.nfe:
            for network, sampler in plan.samplers.items():
                drawn = sample(
                    plan.checkpoint, sampler.predict, noise, solver=sampler.solver, nfe=nfe, seed=seed,
                    condition=plan.condition, batch_size=plan.batch_size,
                    on_progress=plan.on_progress,
                )  # fmt: skip
                row = {"network": network, "nfe": drawn.nfe, "seed": seed}
                yield row | reference.against(drawn.images, seed, plan.batch_size)


def over_seeds(
    rows: list[dict[str, Any]], pair: tuple[str, str] = ("before", "after")
) -> list[dict[str, Any]]:
    """Per number of evaluations: each measure of the pair of networks, and its paired change."""
    return [
        {"nfe": nfe}
        | {
            name: _paired([row for row in rows if row["nfe"] == nfe], name, pair)
            for name in MEASURES
        }
        for nfe in sorted({row["nfe"] for row in rows})
    ]


def _paired(
    rows: list[dict[str, Any]], name: str, pair: tuple[str, str]
) -> dict[str, dict[str, float]]:
    before, after = (
        torch.tensor([row[name] for row in rows if row["network"] == network], dtype=torch.float64)
        for network in pair
    )
    return {
        what: vars(Estimate.of_mean(values))
        for what, values in ((pair[0], before), (pair[1], after), ("change", after - before))
    }
