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

INDEX = "gallery.json"
"""What the figures show, in their order."""
WIDTH = 5.5
"""Inches: a column."""


@dataclass(frozen=True)
class Entry:
    """A figure of the gallery.

    Attributes:
        section: of the theory.
        shows: the statement that it shows.
        compute: from a seed to a frozen dataclass of plain data.
        draw: draws the data on a list of axes.
        panels: how many axes there are, side by side.
        height: in inches.
    """

    section: str
    shows: str
    compute: Callable[[int], Any]
    draw: Callable[..., None]
    panels: int = 1
    height: float = 2.6


def _exact(compute: Callable[[], Any]) -> Callable[[int], Any]:
    """A computation without anything random, for any seed."""
    return lambda seed: compute()


GALLERY = {
    "schedules": Entry(
        "0",
        "log-SNR, alpha and sigma of every schedule",
        _exact(dynamics.compute_schedules),
        dynamics.draw_schedules,
        3,
        2.8,
    ),
    "score_paths": Entry(
        "1",
        "alpha_t times the score is a martingale: single paths wander, their mean stays",
        martingales.compute_score_paths,
        martingales.draw_score_paths,
        height=3.4,
    ),
    "martingale_residual": Entry(
        "1",
        "alpha_t times the score is a martingale, to rounding; the score alone is not",
        _exact(martingales.compute_residuals),
        martingales.draw_residuals,
        2,
    ),
    "posterior_paths": Entry(
        "9",
        "posterior means and component probabilities are martingales along the same paths",
        martingales.compute_posterior,
        martingales.draw_posterior,
        2,
    ),
    "tower_residual": Entry(
        "9",
        "derivatives of the density over itself, times powers of alpha, are martingales",
        _exact(martingales.compute_tower),
        martingales.draw_tower,
        height=3.4,
    ),
    "translation": Entry(
        "9",
        "the ratio of translated densities is a martingale of mean 1, under Ville's bound 1/b",
        martingales.compute_translation,
        martingales.draw_translation,
        2,
        2.8,
    ),
    "energy_identity": Entry(
        "1",
        "alpha^2 times the Fisher information changes by just what the quadratic variation takes",
        _exact(dynamics.compute_energy),
        dynamics.draw_energy,
        2,
        2.9,
    ),
    "supremum_tails": Entry(
        "2",
        "the supremum of one direction stays under Freedman's bound, that of the norm under Doob's",
        bounds.compute_tails,
        bounds.draw_tails,
        2,
        3.0,
    ),
    "azuma": Entry(
        "2",
        "Azuma and Hoeffding's inequality for a bounded martingale, and its failure for one that is not",
        bounds.compute_azuma,
        bounds.draw_azuma,
        height=3.0,
    ),
    "optional_stopping": Entry(
        "3",
        "no stopping rule changes the mean; a choice in hindsight does",
        bounds.compute_stopping,
        bounds.draw_stopping,
        height=2.9,
    ),
    "likelihood_bounds": Entry(
        "5",
        "the KL divergences of the samples of SDE and ODE lie under their bounds",
        _exact(likelihood_bounds.compute_divergences),
        likelihood_bounds.draw_divergences,
        2,
        2.8,
    ),
    "calibrated_likelihood": Entry(
        "5",
        "a bound that falls does not promise a KL divergence that falls, where other errors offset the bias",
        _exact(calibrated_likelihood.compute_changes),
        calibrated_likelihood.draw_changes,
        3,
        2.9,
    ),
    "discrete_bound": Entry(
        "5",
        "the discrete bound tends to the integral as steps get fine",
        _exact(likelihood_bounds.compute_refinement),
        likelihood_bounds.draw_refinement,
        2,
    ),
    "euler_maruyama": Entry(
        "1",
        "weak and strong errors of Euler-Maruyama fall at their orders",
        _exact(dynamics.compute_euler),
        dynamics.draw_euler,
        3,
        2.8,
    ),
    "martingale_drift": Entry(
        "1",
        "the drift of the martingale under discretization falls with the number of steps",
        _exact(dynamics.compute_drift),
        dynamics.draw_drift,
        2,
        3.0,
    ),
    "loss_and_shift": Entry(
        "4",
        "the loss is a parabola in the shift, lowest at the mean error eta",
        _exact(models.compute_loss),
        models.draw_loss_over_shift,
        2,
        2.8,
    ),
    "guidance": Entry(
        "7",
        "errors of both branches in a guided prediction, at every scale",
        _exact(models.compute_guidance),
        models.draw_guidance,
        2,
        2.8,
    ),
    "planted_and_recovered": Entry(
        "7",
        "a planted mean error is recovered, with less error than the plain average's",
        models.compute_recovery,
        models.draw_recovery,
        2,
    ),
    "betting_price": Entry(
        "13",
        "bounds by betting hold at every number of images; what they cost against asymptotic ones",
        betting.compute_price,
        betting.draw_price,
        height=3.0,
    ),
    "few_steps": Entry(
        "11",
        "fitted solvers against DDIM and DPM-Solver++ 2M: distances to the fine solution and to the data",
        fitted_solvers.compute_few_steps,
        fitted_solvers.draw_few_steps,
        2,
        3.0,
    ),
    "order_0_and_1": Entry(
        "8",
        "what orders 0 and 1 take off the denoising loss of a model with errors of four kinds",
        orders.compute_orders,
        orders.draw_orders,
        2,
        2.8,
    ),
}
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
    shown = [
        {"name": name, "section": GALLERY[name].section, "shows": GALLERY[name].shows}
        for name in results
    ]
    write_json(out / INDEX, {"figures": shown})
    return [*written, INDEX]


def _plain(value: Any) -> Any:
    """Tensors as lists, within dictionaries."""
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
