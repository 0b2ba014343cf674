"""The density that a constant shift stands for.

A score s = grad log p less a constant eta is the score of p(x) exp(-eta.x) / Z, which is a density
only where Z = int p(x) exp(-eta.x) dx is finite: for a Gaussian always, for exponential tails if
eta is small, for heavier tails never. In one dimension.
"""

from collections.abc import Callable

from theory.errors import InputError

FARTHEST = 40
"""The tails are probed up to 2^40 of the scale given."""


def require_finite(score: Callable[[float], float], eta: float, scale: float = 1.0) -> None:
    """Refuse a shift under which p(x) exp(-eta x) has an infinite integral.

    The integrand falls faster than 1/|x| where x (s(x) - eta) < -1, and that is asked of both tails
    at the farthest distances. It decides for tails that are regular from there on (Gaussian,
    exponential, powers); it does not know of tails that change farther out.

    Raises:
        InputError: it is infinite.
    """
    for side in (-1.0, 1.0):
        for power in range(FARTHEST - 8, FARTHEST):
            x = side * scale * 2.0**power
            if not x * (score(x) - eta) < -1:
                raise InputError(
                    f"tilt: p(x) exp(-eta x) with eta = {eta:g} has an infinite integral: "
                    f"it does not fall at x = {x:.3g}"
                )
