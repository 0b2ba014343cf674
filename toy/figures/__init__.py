"""What the theory figures show, computed; ``toy.plots`` draws it.

``ALL`` has a function of the seed per figure, whose result is a frozen dataclass of plain data.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from toy.figures.bounds import azuma, stopping, tails
from toy.figures.calibrated import calibrated
from toy.figures.dynamics import drift, energy, euler, schedules
from toy.figures.martingales import posterior, residuals, score_paths, tower, translation
from toy.figures.models import guidance, loss, recovery
from toy.figures.nats import likelihood, refinement
from toy.figures.orders import orders


def _unseeded(compute: Callable[[], Any], seed: int) -> Any:
    return compute()


ALL: dict[str, Callable[[int], Any]] = {
    "schedules": partial(_unseeded, schedules),
    "score_paths": score_paths,
    "martingale_residual": partial(_unseeded, residuals),
    "posterior_paths": posterior,
    "tower_residual": partial(_unseeded, tower),
    "translation": translation,
    "energy_identity": partial(_unseeded, energy),
    "supremum_tails": tails,
    "azuma": azuma,
    "optional_stopping": stopping,
    "likelihood_bounds": partial(_unseeded, likelihood),
    "calibrated_likelihood": partial(_unseeded, calibrated),
    "discrete_bound": partial(_unseeded, refinement),
    "euler_maruyama": partial(_unseeded, euler),
    "martingale_drift": partial(_unseeded, drift),
    "loss_and_shift": partial(_unseeded, loss),
    "guidance": partial(_unseeded, guidance),
    "planted_and_recovered": recovery,
    "order_0_and_1": orders,
}
"""By the name of the figure's files."""
