"""The training curve, from the record."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from real.reports.page import save_figure
from theory.support.plot_style import BLUE, ORANGE


def draw_curve(ax: Axes, record: dict[str, Any]) -> None:
    """Training loss against steps, and the loss on kept images at the end."""
    steps, losses = zip(*record["loss_per_pixel"], strict=True)
    kept = record["kept_images_loss_per_pixel"]["labels"]
    ax.semilogy(steps, losses, color=BLUE, lw=1, label="training images, weights on their way")
    ax.plot(steps[-1], kept, "o", ms=4, color=ORANGE, label="kept images, averaged weights")
    ax.set(xlabel="steps", ylabel="loss per pixel", title="Training")
    ax.legend()


def save_curve(path: Path, record: dict[str, Any]) -> None:
    """Write it as PNG."""
    save_figure(lambda figure: draw_curve(figure.subplots(), record), (4.5, 3.0), path)
