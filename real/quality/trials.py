"""Trials of ways to sample from one network: distances of their samples from the same noise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from real.families.checkpoint import Checkpoint
from real.quality.choice import DECIDING, Distances
from real.quality.distances import frechet_distance, squared_mmd
from real.quality.features import features_of
from real.quality.measure import Reference, Sampler
from real.solvers.sampling import latents, sample
from theory.forward.images import Conditions

CHOOSING_SEED, DECIDING_SEED = 5_000, 6_000
"""Added to the seed, so that no noise serves twice: not here, nor in a later comparison."""


@dataclass(frozen=True)
class Trials:
    """What is sampled in each trial, and what it is compared with.

    Attributes:
        checkpoint: the network.
        samplers: by name.
        nfe: evaluations of each of them.
        choosing, deciding: real images by which ways are chosen, and others that decide.
        samples: in each trial.
        condition: of each sample.
        seed: of everything.
        batch_size: samples per network call.
        on_progress: called with the number of samples after each evaluation.
    """

    checkpoint: Checkpoint
    samplers: Mapping[str, Sampler]
    nfe: Mapping[str, int]
    choosing: Reference
    deciding: Reference
    samples: int
    condition: Conditions | None
    seed: int
    batch_size: int
    on_progress: Callable[[int], None] | None = None

    def to_choose(self, name: str, trial: int) -> Distances:
        """Distances of one trial to the images by which ways are chosen."""
        rows = self._features(self.choosing, name, CHOOSING_SEED + trial)
        return _distances(rows, self.choosing.rows, self.choosing.rows)

    def to_decide(self, name: str, trial: int) -> Distances:
        """Distances of one trial to the images that decide.

        The kernel distance is that to a part of them which no other trial sees, so that trials are
        independent in their images, too; the Frechet distance needs all of them.
        """
        rows = self._features(self.deciding, name, DECIDING_SEED + trial)
        return _distances(rows, self.deciding.rows[trial::DECIDING], self.deciding.rows)

    def _features(self, reference: Reference, name: str, seed: int) -> Tensor:
        noise = latents(self.checkpoint, self.samples, self.seed + seed)
        sampler = self.samplers[name]
        drawn = sample(
            self.checkpoint, sampler.predict, noise.to(reference.device), solver=sampler.solver,
            nfe=self.nfe[name], seed=self.seed + seed, condition=self.condition,
            batch_size=self.batch_size, on_progress=self.on_progress,
        )  # fmt: skip
        batches = drawn.images.split(self.batch_size)
        return features_of(reference.features, batches, reference.device).double()


def _distances(rows: Tensor, some: Tensor, all_of_them: Tensor) -> Distances:
    return Distances(squared_mmd(rows, some.double()).item(), frechet_distance(rows, all_of_them))
