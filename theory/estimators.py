"""What is averaged over images to estimate eta_t = E[y_theta] - A_t E[x_0]. One number per pixel.

Every unit below has mean eta_t; they differ in variance, which is the whole difference between a
shift that is signal and a shift that is noise.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from theory.errors import InputError
from theory.observations import Observation


@dataclass(frozen=True)
class Estimator:
    """A name and the unit (b, *shape) that it takes from an observation: one vector per image."""

    name: str
    units: Callable[[Observation], Tensor]


PLAIN = Estimator("plain", lambda seen: (seen.prediction - seen.a * seen.x_0).mean(0))
"""The raw output less its known mean (Pang et al. 2023); its variance is about the dimension."""

RESIDUAL = Estimator("residual", lambda seen: seen.residual.mean(0))
"""The output less the known target of the same draw; its variance is the denoising loss."""

NAMED = {estimator.name: estimator for estimator in (PLAIN, RESIDUAL)}


def named(name: str) -> Estimator:
    """The estimator of that name.

    Raises:
        InputError: there is none.
    """
    if name not in NAMED:
        raise InputError(f"estimator: expected one of {', '.join(NAMED)}, got {name!r}")
    return NAMED[name]
