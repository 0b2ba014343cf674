"""Models of labelled data: every component of a mixture is a class, and each branch has its error.

The conditional branch for label k is a model of that component's own diffusion, the unconditional
one of the mixture's; either carries planted error (``toy.mixtures.planted_error``), so each has its own
best shift, under its own law.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from theory.diffusion.targets import Target
from toy.mixtures.diffusion import Diffusion, as_time
from toy.mixtures.mixture import GaussianMixture
from toy.mixtures.planted_error import Misfit
from toy.numerics.quadrature import expectation
from toy.strategies.mixtures import Components, TimePair


@dataclass(frozen=True)
class GuidedCase:
    """Branches with constant errors and a wave, guidance ``scale``, one label and a point.

    ``constants`` has one entry per label and a last one for the unconditional branch; ``x_t`` lies
    ``offset`` deviations from the label's component.
    """

    components: Components
    times: TimePair
    target: Target
    constants: tuple[float, ...]
    amplitude: float
    scale: float
    label: int
    offset: float

    @property
    def weights(self) -> Tensor:
        """P(c), (K,)."""
        return torch.exp(self.diffusion.data.log_weights)

    @cached_property
    def diffusion(self) -> Diffusion:
        """Of all labels together."""
        return Diffusion(self.components.mixture(), self.times.schedule)

    def of_label(self, k: int) -> Diffusion:
        """The diffusion of the data of one label."""
        data = self.diffusion.data
        one = torch.zeros(1, dtype=torch.float64)
        return Diffusion(
            GaussianMixture(one, data.means[k : k + 1], data.variances[k : k + 1]),
            self.times.schedule,
        )

    def branch(self, k: int) -> Misfit:
        """The model of label k, or the unconditional one for k = -1."""
        constant = torch.tensor([self.constants[k]], dtype=torch.float64)
        law = self.diffusion if k == -1 else self.of_label(k)
        return Misfit(law, self.target, lambda t: constant, amplitude=self.amplitude)

    def x_t(self) -> Tensor:
        """(1, 1)."""
        law = self.of_label(self.label).marginal(self.times.t)
        return law.means + self.offset * law.variances.sqrt()


def shift_of(case: GuidedCase, model: Misfit, law: Diffusion, data: Diffusion) -> Tensor:
    """E[y_theta] - A E[x_0] of a model by quadrature, under any law, with any data's mean. (1,)."""
    t = case.times.t
    a, _ = case.target.coefficients(case.times.schedule, as_time(t))
    mean = expectation(
        law.marginal(t), lambda x: model.at(x, t), scale=resolution(case), size=size_of(model, t)
    )
    return mean.value - a * data.data.mean()


def size_of(model: Misfit, t: float) -> float:
    """Size of what a prediction adds up: its rounding is relative to it."""
    planted = float(model.constant(t).abs().max()) + abs(model.amplitude)
    return model.diffusion.target_size(model.target, t) + planted


def resolution(case: GuidedCase) -> float:
    """The shortest length over which any branch's prediction varies."""
    shortest = case.diffusion.marginal(case.times.t).variances.min().sqrt().item()
    return min(shortest, 1.0)
