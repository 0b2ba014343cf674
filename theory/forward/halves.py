"""Images in two parts, of which one makes what the other judges."""

import torch
from jaxtyping import Bool
from torch import Tensor

from theory.forward.survey import Survey
from theory.support.errors import InputError


def two_halves(look: Survey, seed: int) -> tuple[Bool[Tensor, "image"], Bool[Tensor, "image"]]:
    """Which images make something, and which judge it: no unit is on both sides.

    Half of the units, drawn from the seed, come with all of their images, the others with one each,
    so that those that judge are independent. The order of the images does not matter.

    Raises:
        InputError: fewer than four units.
    """
    if look.effective < 4:
        raise InputError(f"images: expected at least four different ones, got {look.effective}")
    order = torch.randperm(look.effective, generator=torch.Generator().manual_seed(seed))
    makes = (order < look.effective // 2)[look.units]
    return makes, look.firsts & ~makes
