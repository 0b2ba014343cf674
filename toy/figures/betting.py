"""What a certificate that holds at every n costs: betting against Student's bound."""

from dataclasses import dataclass

import torch
from scipy.stats import t as student
from torch import Tensor

from theory.statistics.betting import betting_lower_bounds
from theory.statistics.intervals import LEVEL
from theory.support.plot_style import GREY
from toy.figures.common import Axes, legend_below, styled

MEAN = 0.3
"""Of the gains, in units of their standard deviation."""

SIZES = (20, 40, 80, 160, 320, 640, 1280)
FLOORS = (3.0, 10.0, 30.0)
"""How far below zero a gain may lie, in standard deviations, for all that is known in advance."""

REPETITIONS = 10


@dataclass(frozen=True)
class Price:
    """Lower bounds over the mean, in the mean of the repetitions: of Student (N,), and of bets by floor."""

    sizes: Tensor
    student: Tensor
    betting: dict[str, Tensor]


def compute_price(seed: int) -> Price:
    """Bounds from gains that are N(MEAN, 1), cut at the smallest floor."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randn(REPETITIONS, SIZES[-1], generator=generator, dtype=torch.float64)
    gains = (MEAN + draws).clamp(-FLOORS[0], FLOORS[0])
    asymptotic: list[float] = []
    exact: dict[float, list[float]] = {floor: [] for floor in FLOORS}
    for n in SIZES:
        part = gains[:, :n]
        quantile = float(student.isf(1 - LEVEL, n - 1))
        asymptotic.append((part.mean(1) - quantile * part.std(1) / n**0.5).mean().item() / MEAN)
        for floor, bounds in exact.items():
            ends = torch.full((REPETITIONS,), floor, dtype=torch.float64)
            bounds.append(betting_lower_bounds(part.T, -ends, ends, 1, n).mean().item() / MEAN)
    return Price(
        torch.tensor(SIZES, dtype=torch.float64),
        torch.tensor(asymptotic, dtype=torch.float64),
        {f"{floor:g}": torch.tensor(b, dtype=torch.float64) for floor, b in exact.items()},
    )


def draw_price(axes: list[Axes], price: Price) -> None:
    """Bounds over the number of images."""
    (ax,) = axes
    curves = {"Student, asymptotic": price.student} | {
        f"betting, floor at {floor} deviations": bounds for floor, bounds in price.betting.items()
    }
    for name, curve, color, style, marker in styled(curves):
        ax.semilogx(price.sizes, curve, color=color, ls=style, marker=marker, ms=3, label=name)
    for level in (0, 1):
        ax.axhline(level, color=GREY, lw=0.6)
    ax.set_ylim(-1, 1.1)
    ax.set_xlabel("images")
    ax.set_ylabel("lower bound / mean gain")
    legend_below(ax, 2)
