"""Order 0 against order 1: the loss over log-SNR of a model with affine and wavy error."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from theory.calibration.procedure import calibrate
from theory.calibration.result import Calibration
from theory.statistics.shrinkage import SHRUNK
from theory.support.plot_style import BLUE, GREY, ORANGE
from toy.figures.common import Axes, legend_below, log_snr_grid_between, mixture_on_line
from toy.mixtures.mixture import float64
from toy.mixtures.planted_error import PlantedErrorModel
from toy.numerics.quadrature import expectation

ORDER_LOOKS = {
    "none": (GREY, "-.", "uncalibrated"),
    "constant": (ORANGE, "--", "constant"),
    "affine": (BLUE, "-", "affine"),
}
"""Colour, line style and label of each order."""


@dataclass(frozen=True)
class OrderLosses:
    """Over log-SNR (T,): the denoising loss E|y_theta - y|^2 and the model's own part of it.

    By name: none, constant, affine, each calibrated with so many images; and the least loss.
    """

    images: int
    log_snr: Tensor
    least: Tensor
    excess: dict[str, Tensor]


def compute_orders(seed: int, images: int = 2000, steps: int = 24) -> OrderLosses:
    """A noise prediction with a constant, a slope, a scale and a wave for its error."""
    model = PlantedErrorModel(
        mixture_on_line(), constant=lambda t: torch.full((1,), 0.05, dtype=torch.float64), slope=0.08,
        amplitude=0.05, frequency=2.0, scale=0.15,
    )  # fmt: skip
    times = log_snr_grid_between(model.diffusion, 0.99, 0.02, steps)
    generator = torch.Generator().manual_seed(seed)
    x_0 = model.diffusion.data.sample(generator, images)
    made = {
        name: calibrate(
            model, model.diffusion.schedule, images=x_0, times=times, order=order, policy=SHRUNK,
            seed=seed,
        )
        for name, order in (("constant", 0), ("affine", 1))
    }  # fmt: skip
    rows = [_excess(model, t, made) for t in times.tolist()]
    least, none, *calibrated = torch.stack(rows).unbind(1)
    excess = dict(zip(("none", *made), (none, *calibrated), strict=True))
    return OrderLosses(images, model.diffusion.schedule.log_snr(times), least, excess)


def _excess(model: PlantedErrorModel, t: float, made: dict[str, Calibration]) -> Tensor:
    """E Var(e|x_t), and E|e_theta - E[e|x_t]|^2 without and with each calibration."""
    time = float64([t])

    def terms(x: Tensor) -> Tensor:
        """Var(e|x_t), and the squared error of each prediction."""
        y, exact = model.at(x, t), model.exact(x, t)
        corrected = [y - calibration.correction(x, time, y) for calibration in made.values()]
        return torch.cat([1 - exact**2, *((v - exact) ** 2 for v in (y, *corrected))], 1)

    return expectation(model.diffusion.marginal(t), terms, scale=0.2, rtol=1e-8).value


def draw_orders(axes: Sequence[Axes], result: OrderLosses) -> None:
    """The denoising loss, and the part of it that is the model's own."""
    left, right = axes
    left.plot(result.log_snr, result.least, color="black", lw=1.3, ls=":", zorder=3, label="exact")
    for name, excess in result.excess.items():
        color, style, label = ORDER_LOOKS[name]
        left.plot(result.log_snr, result.least + excess, color=color, ls=style, lw=1.3, label=label)
        right.semilogy(result.log_snr, excess, color=color, ls=style, lw=1.3)
    left.set(
        xlabel=r"$\log\mathrm{SNR}$", ylabel=r"$E|e_\theta-e|^2$", title="Denoising loss"
    )  # fmt: skip
    right.set(
        xlabel=r"$\log\mathrm{SNR}$", ylabel=r"$E|e_\theta-E[e|x_t]|^2$",
        title="The model's own part",
    )  # fmt: skip
    legend_below(left, 4)
