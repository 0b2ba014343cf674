"""One way to make a report: numbers as JSON, a figure drawn from them, and a page around both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from torch import Tensor

from real.reports.image_grid import image_grid
from theory.support.output import replacing_folder, write_json
from theory.support.plot_style import STYLE

TEMPLATES = Environment(
    loader=PackageLoader("real.reports", "templates"),
    autoescape=select_autoescape(("html.j2", "html")),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
"""The documents that programs write; an undefined value is an error."""


@dataclass(frozen=True)
class Report:
    """Numbers, and how they are shown.

    Attributes:
        name: of the files, without their endings.
        numbers: plain data, as the JSON file holds them.
        summary: the main numbers in words, a line each.
        draw: draws them onto an empty figure.
        size: of the figure, in inches.
        figures: names of the figure's files.
        page: what the template NAME.html.j2 is filled with; None for no page.
        grids: images (n, c, h, w) in [-1, 1] that are shown side by side, by the picture's name.
    """

    name: str
    numbers: Mapping[str, Any]
    summary: list[str]
    draw: Callable[[Figure], None]
    size: tuple[float, float]
    figures: tuple[str, ...]
    page: Mapping[str, Any] | None = None
    grids: Mapping[str, Tensor] = field(default_factory=dict)

    def write(self, out: Path) -> None:
        """Write all files into a folder; they appear all or not at all."""
        with replacing_folder(out) as folder:
            self.write_into(folder)

    def write_into(self, folder: Path) -> None:
        """Write all files into an existing folder."""
        write_json(folder / f"{self.name}.json", dict(self.numbers))
        save_figure(self.draw, self.size, *(folder / figure for figure in self.figures))
        for name, images in self.grids.items():
            image_grid(images).save(folder / name)
        if self.page is not None:
            page = render(f"{self.name}.html.j2", **self.page)
            (folder / f"{self.name}.html").write_text(page)


def render(template: str, **values: Any) -> str:
    """The template of that name, filled in."""
    return TEMPLATES.get_template(template).render(**values)


def save_figure(draw: Callable[[Figure], None], size: tuple[float, float], *paths: Path) -> None:
    """Draw a figure of this size in inches; write it as PNG, or as PDF where the path says so."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size)
        draw(figure)
        for path in paths:
            figure.savefig(path, format="pdf" if path.suffix == ".pdf" else "png")


def tick_evaluations(ax: Axes, nfe: Sequence[int]) -> None:
    """A logarithmic axis of network evaluations, with ticks where there are values."""
    ax.set_xscale("log")
    ax.set_xticks(nfe, [str(n) for n in nfe])
    ax.xaxis.set_minor_formatter(NullFormatter())


def interval(estimate: Mapping[str, float], form: str) -> str:
    """The interval of an estimate in words: [lower, upper]."""
    return f"[{estimate['lower']:{form}}, {estimate['upper']:{form}}]"
