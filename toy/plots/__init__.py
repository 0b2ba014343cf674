"""The theory figures. A drawing function takes axes and a result, and computes nothing."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from torch import Tensor

from theory.support.output import write_json
from theory.support.plot_style import STYLE
from toy.plots import bounds, calibrated, dynamics, martingales, models, nats, orders

WIDTH = 5.5
"""Inches: a column."""


@dataclass(frozen=True)
class Drawing:
    """How a figure is drawn: on so many panels side by side, so high in inches."""

    draw: Callable[..., None]
    panels: int = 1
    height: float = 2.6


ALL: dict[str, Drawing] = {
    "schedules": Drawing(dynamics.draw_schedules, 3, 2.8),
    "score_paths": Drawing(martingales.draw_score_paths, height=3.4),
    "martingale_residual": Drawing(martingales.draw_residuals, 2),
    "posterior_paths": Drawing(martingales.draw_posterior, 2),
    "tower_residual": Drawing(martingales.draw_tower, height=3.4),
    "translation": Drawing(martingales.draw_translation, 2, 2.8),
    "energy_identity": Drawing(dynamics.draw_energy, 2, 2.9),
    "supremum_tails": Drawing(bounds.draw_tails, 2, 3.0),
    "azuma": Drawing(bounds.draw_azuma, height=3.0),
    "optional_stopping": Drawing(bounds.draw_stopping, height=2.9),
    "likelihood_bounds": Drawing(nats.draw_likelihood, 2, 2.8),
    "calibrated_likelihood": Drawing(calibrated.draw_calibrated, 3, 2.9),
    "discrete_bound": Drawing(nats.draw_refinement, 2),
    "euler_maruyama": Drawing(dynamics.draw_euler, 3, 2.8),
    "martingale_drift": Drawing(dynamics.draw_drift, 2, 3.0),
    "loss_and_shift": Drawing(models.draw_loss, 2, 2.8),
    "guidance": Drawing(models.draw_guidance, 2, 2.8),
    "planted_and_recovered": Drawing(models.draw_recovery, 2),
    "order_0_and_1": Drawing(orders.draw_orders, 2, 2.8),
}
"""By the name of the figure's files."""


def save_all(out: Path, results: Mapping[str, Any]) -> list[str]:
    """Write every result's figure as PNG and PDF, and its data as JSON; returns the file names."""
    written = []
    with matplotlib.rc_context(STYLE):
        for name, result in results.items():
            drawing = ALL[name]
            figure = Figure(figsize=(WIDTH, drawing.height))
            panels = figure.subplots(1, drawing.panels, squeeze=False)[0]
            drawing.draw(list(panels), result)
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
