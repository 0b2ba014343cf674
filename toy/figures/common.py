"""What several figures are computed from, and what they draw alike."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from scipy.stats import beta
from torch import Tensor

from theory.diffusion.schedules import VPLinear
from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64

Axes = Any
"""Matplotlib's axes: this room draws on them without importing it."""

Curve = TypeVar("Curve")

SHOWN = 60
"""Paths that are drawn one by one."""

LOOKS = [(BLUE, "-"), (ORANGE, "-"), (GREEN, "-"), (GREY, "--"), (BLUE, "--"), (ORANGE, "--")]
"""Colour and line style of up to six curves."""

MARKERS = ("o", "s", "^", "D", "v", "P")
SMALL = 7.5
"""Font size of legends that share a panel with data."""


@dataclass(frozen=True)
class Bundle:
    """A martingale along reverse paths: some paths (T, n), mean and standard error of all (T,)."""

    times: Tensor
    shown: Tensor
    mean: Tensor
    error: Tensor
    count: int

    @classmethod
    def of(cls, times: Tensor, values: Tensor) -> "Bundle":
        """The bundle of values (T, n)."""
        count = values.shape[1]
        return cls(times, values[:, :SHOWN], values.mean(1), values.std(1) / count**0.5, count)


@dataclass(frozen=True)
class Frequencies:
    """How often |value| >= eps was seen: eps, share, and a 99 % interval's ends, each (E,)."""

    eps: Tensor
    share: Tensor
    lower: Tensor
    upper: Tensor

    @classmethod
    def of(cls, values: Tensor, eps: Tensor) -> "Frequencies":
        """Those of independent values (n,), with Clopper and Pearson's intervals."""
        n, seen = len(values), (values >= eps[:, None]).sum(1).double()
        lower = torch.from_numpy(beta.ppf(0.005, seen.numpy(), n - seen.numpy() + 1))
        upper = torch.from_numpy(beta.ppf(0.995, seen.numpy() + 1, n - seen.numpy()))
        return cls(eps, seen / n, lower.nan_to_num(0.0), upper.nan_to_num(1.0))


def mixture_on_line() -> Diffusion:
    """Two components on the line."""
    data = GaussianMixture.diagonal(
        torch.tensor([0.6, 0.4]), torch.tensor([[-2.0], [1.5]]), torch.tensor([0.15, 0.3])
    )
    return Diffusion(data, VPLinear())


def gaussian_on_line(variance: float) -> Diffusion:
    """One Gaussian N(0, variance)."""
    data = GaussianMixture.diagonal(torch.ones(1), torch.zeros(1, 1), torch.tensor([variance]))
    return Diffusion(data, VPLinear())


def log_snr_grid_between(diffusion: Diffusion, t: float, s: float, steps: int) -> Tensor:
    """Times from t down to s < t, evenly in log-SNR, (steps + 1,)."""
    schedule = diffusion.schedule
    ends = schedule.log_snr(float64([t, s])).tolist()
    return schedule.time_of(torch.linspace(ends[0], ends[1], steps + 1, dtype=torch.float64))


def styled(curves: Mapping[str, Curve]) -> Iterator[tuple[str, Curve, str, str, str]]:
    """Each curve with its name, and a colour, a line style and a marker for it."""
    for (name, curve), (color, style), marker in zip(curves.items(), LOOKS, MARKERS, strict=False):
        yield name, curve, color, style, marker


def draw_bundle(ax: Axes, bundle: Bundle, start: float, label: str) -> None:
    """Some paths, the mean of all with two standard errors, and the value that it must keep."""
    times, mean, error = bundle.times, bundle.mean, bundle.error
    ax.plot(times, bundle.shown, color=GREY, lw=0.5, alpha=0.4)
    ax.axhline(start, color=ORANGE, lw=2.5, label=label)
    ax.plot(times, mean, color=BLUE, lw=1.3, label=f"mean of {bundle.count:,} paths")
    ax.fill_between(times, mean - 2 * error, mean + 2 * error, color=BLUE, alpha=0.3, lw=0)
    ax.invert_xaxis()


def draw_frequencies(ax: Axes, seen: Frequencies, color: str, marker: str, label: str) -> None:
    """Shares above zero, with their intervals.

    Args:
        ax: drawn on.
        seen: the frequencies.
        color, marker, label: how they are shown.
    """
    some = seen.share > 0
    share, lower, upper = seen.share[some], seen.lower[some], seen.upper[some]
    ax.errorbar(
        seen.eps[some], share, (share - lower, upper - share),
        fmt=marker, ms=3.5, lw=0.8, color=color, mfc="white", label=label, zorder=3,
    )  # fmt: skip


def draw_power(
    ax: Axes, x: Tensor, start: float, power: float, label: str, style: str = ":"
) -> None:
    """A power of x from a value at its first point.

    Args:
        ax: drawn on.
        x: where, (n,).
        start: the value at x[0].
        power: of x.
        label, style: how it is shown.
    """
    ax.plot(x, start * (x / x[0]) ** power, color="black", lw=0.8, ls=style, label=label)


def legend_of_suprema(ax: Axes) -> None:
    """A legend that says that frequencies of a supremum over a grid err low."""
    ax.legend(fontsize=SMALL, loc="lower left", title="a grid errs low", title_fontsize=SMALL)


def legend_below(ax: Axes, columns: int) -> None:
    """A legend of the whole figure, under its panels."""
    handles, labels = ax.get_legend_handles_labels()
    figure = ax.figure
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=SMALL)
