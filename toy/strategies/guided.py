"""Models of labelled data: every component of a mixture is a class, and each branch has its error.

The conditional branch for label k is a model of that component's own diffusion, the unconditional
one of the mixture's. Either carries planted error (``toy.mixtures.planted_error``), so that each has
its own best shift under its own law.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from hypothesis import strategies as st
from jaxtyping import Float64
from torch import Tensor

from theory.diffusion.targets import Target
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.mixtures.planted_error import PlantedErrorModel
from toy.strategies.mixtures import DiffusionCase, components
from toy.strategies.numbers import number, number_tuple
from toy.strategies.planted_errors import TARGETS
from toy.strategies.time_pairs import TIME_PAIRS, TimePair


@dataclass(frozen=True)
class GuidedCase(DiffusionCase):
    """Branches with planted errors, a guidance scale, a label and a point.

    Attributes:
        components, times, target: of all branches.
        constants: the constant error (d,) for each label, then that of the unconditional branch.
        amplitude: of the wave in every branch.
        scale: of the guidance.
        label: the class k.
        offset: how many deviations x_t lies from the label's component, along each axis.
    """

    target: Target
    constants: tuple[tuple[float, ...], ...]
    amplitude: float
    scale: float
    label: int
    offset: tuple[float, ...]

    @property
    def weights(self) -> Float64[Tensor, "k"]:
        """P(c)."""
        return torch.exp(self.diffusion.data.log_weights)

    def of_label(self, k: int) -> Diffusion:
        """The diffusion of the data of one label."""
        data = self.diffusion.data
        one = torch.zeros(1, dtype=torch.float64)
        turned = None if data.rotations is None else data.rotations[k : k + 1]
        alone = GaussianMixture(one, data.means[k : k + 1], data.variances[k : k + 1], turned)
        return Diffusion(alone, self.times.schedule)

    def branch(self, k: int) -> PlantedErrorModel:
        """The model of label k, or the unconditional one for k = -1."""
        constant = float64(self.constants[k])
        law = self.diffusion if k == -1 else self.of_label(k)
        return PlantedErrorModel(law, self.target, lambda t: constant, amplitude=self.amplitude)

    def x_t(self) -> Float64[Tensor, "1 d"]:
        """The point."""
        law = self.of_label(self.label).marginal(self.times.t)
        return law.means + float64(self.offset) * law.variances.sqrt()


@cache
@st.composite
def guided_cases(
    draw: Any, dimension: int = 1, pairs: st.SearchStrategy[TimePair] = TIME_PAIRS
) -> GuidedCase:
    """Mixtures of labels, a planted error in each branch.

    Args:
        draw: Hypothesis's own.
        dimension: 1 or 2.
        pairs: the times.
    """
    mixture = draw(components(dimension, reach=4.0, least=0.3))
    labels = len(mixture.weights)
    return GuidedCase(
        mixture, draw(pairs), draw(TARGETS), draw(number_tuple(-2.0, 2.0, labels + 1, dimension)),
        draw(number(-1.0, 1.0)), draw(number(0.0, 4.0)), draw(st.integers(0, labels - 1)),
        draw(number_tuple(-3.0, 3.0, dimension)),
    )  # fmt: skip
