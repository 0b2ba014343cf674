"""The table of all theory figures, and how they are saved."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from torch import Tensor

from theory.support.output import write_json
from theory.support.plot_style import STYLE
from toy.figures import (
    betting,
    bounds,
    calibrated_likelihood,
    dynamics,
    fitted_solvers,
    likelihood_bounds,
    martingales,
    models,
    orders,
)

WIDTH = 5.5
"""Inches: a column."""


@dataclass(frozen=True)
class Entry:
    """A figure of the gallery.

    Attributes:
        compute: from a seed to a frozen dataclass of plain data.
        draw: draws the data on a list of axes.
        panels: how many axes there are, side by side.
        height: in inches.
    """

    compute: Callable[[int], Any]
    draw: Callable[..., None]
    panels: int = 1
    height: float = 2.6


def _exact(compute: Callable[[], Any]) -> Callable[[int], Any]:
    """A computation without anything random, for any seed."""
    return lambda seed: compute()


GALLERY = {
    "schedules": Entry(_exact(dynamics.compute_schedules), dynamics.draw_schedules, 3, 2.8),
    "score_paths": Entry(martingales.compute_score_paths, martingales.draw_score_paths, height=3.4),
    "martingale_residual": Entry(
        _exact(martingales.compute_residuals), martingales.draw_residuals, 2),
    "posterior_paths": Entry(martingales.compute_posterior, martingales.draw_posterior, 2),
    "tower_residual": Entry(_exact(martingales.compute_tower), martingales.draw_tower, height=3.4),
    "translation": Entry(martingales.compute_translation, martingales.draw_translation, 2, 2.8),
    "energy_identity": Entry(_exact(dynamics.compute_energy), dynamics.draw_energy, 2, 2.9),
    "supremum_tails": Entry(bounds.compute_tails, bounds.draw_tails, 2, 3.0),
    "azuma": Entry(bounds.compute_azuma, bounds.draw_azuma, height=3.0),
    "optional_stopping": Entry(bounds.compute_stopping, bounds.draw_stopping, height=2.9),
    "likelihood_bounds": Entry(
        _exact(likelihood_bounds.compute_divergences), likelihood_bounds.draw_divergences, 2, 2.8),
    "calibrated_likelihood": Entry(
        _exact(calibrated_likelihood.compute_changes), calibrated_likelihood.draw_changes, 3, 2.9),
    "discrete_bound": Entry(
        _exact(likelihood_bounds.compute_refinement), likelihood_bounds.draw_refinement, 2),
    "euler_maruyama": Entry(_exact(dynamics.compute_euler), dynamics.draw_euler, 3, 2.8),
    "martingale_drift": Entry(_exact(dynamics.compute_drift), dynamics.draw_drift, 2, 3.0),
    "loss_and_shift": Entry(_exact(models.compute_loss), models.draw_loss_over_shift, 2, 2.8),
    "guidance": Entry(_exact(models.compute_guidance), models.draw_guidance, 2, 2.8),
    "planted_and_recovered": Entry(models.compute_recovery, models.draw_recovery, 2),
    "betting_price": Entry(betting.compute_price, betting.draw_price, height=3.0),
    "few_steps": Entry(fitted_solvers.compute_few_steps, fitted_solvers.draw_few_steps, 2, 3.0),
    "order_0_and_1": Entry(orders.compute_orders, orders.draw_orders, 2, 2.8),
}  # fmt: skip
"""By the name of the figure's files."""


def save_figures(out: Path, results: Mapping[str, Any]) -> list[str]:
    """Write every result's figure as PNG and PDF, and its data as JSON; returns the file names."""
    written = []
    with matplotlib.rc_context(STYLE):
        for name, result in results.items():
            entry = GALLERY[name]
            figure = Figure(figsize=(WIDTH, entry.height))
            panels = figure.subplots(1, entry.panels, squeeze=False)[0]
            entry.draw(list(panels), result)
            for kind in ("png", "pdf"):
                figure.savefig(out / f"{name}.{kind}")
            write_json(out / f"{name}.json", _plain(asdict(result)))
            written += [f"{name}.{kind}" for kind in ("png", "pdf", "json")]
    return written


def _plain(value: Any) -> Any:
    """Tensors as lists, within dictionaries."""
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
