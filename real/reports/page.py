"""One way to make a report: numbers as JSON, their drawings as files, and a page that holds it all."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from real.reports.elements import Panel, Picture, Section
from real.reports.image_grid import image_grid
from real.reports.inline import drawing, picture
from theory.calibration.verdict import Verdict
from theory.support.output import replacing_file, replacing_folder, write_json
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

PANEL_WIDTH, PANEL_HEIGHT = 3.4, 3.0
"""Of a panel in a figure's file, in inches."""

MOST_DECIMALS = 6
"""Of a number that is written without an exponent."""


CODE = re.compile(r"`([^`]+)`")
"""What stands between backticks, which a page shows as code."""
TEMPLATES.filters["by_code"] = CODE.split


@dataclass(frozen=True)
class Report:
    """Numbers, and how they are shown.

    Attributes:
        name: of the files, without their endings.
        title: what the page is about.
        verdict: one sentence that comes first.
        summary: the main numbers in words, a line each.
        numbers: plain data, as the JSON file holds them after verdict and summary.
        sections: of the page; their panels together are the figure.
        figures: names of the figure's files.
        columns: panels of the figure side by side.
    """

    name: str
    title: str
    verdict: Verdict
    summary: list[str]
    numbers: Mapping[str, Any]
    sections: tuple[Section, ...]
    figures: tuple[str, ...] = ()
    columns: int = 4

    @property
    def lines(self) -> list[str]:
        """What a terminal shows: the verdict, then the summary."""
        return [self.verdict.sentence, *self.summary]

    def write(self, out: Path) -> None:
        """Write all files into a folder; they appear all or not at all."""
        with replacing_folder(out) as folder:
            self.write_into(folder)

    def write_into(self, folder: Path) -> None:
        """Write all files into an existing folder."""
        said = {"verdict": vars(self.verdict), "summary": self.summary}
        write_json(folder / f"{self.name}.json", said | dict(self.numbers))
        if self.figures:
            save_panels(self.panels, self.columns, *(folder / figure for figure in self.figures))
        for section in self.sections:
            for shown in section.pictures:
                if shown.file:
                    as_image(shown).save(folder / shown.file)
        (folder / f"{self.name}.html").write_text(self.page())

    @property
    def panels(self) -> list[Panel]:
        """Of all sections."""
        return [panel for section in self.sections for panel in section.panels]

    def write_figure(self, path: Path) -> None:
        """Write the panels alone as PNG, whole or not at all."""
        with replacing_file(path) as temporary:
            save_panels(self.panels, self.columns, temporary)

    def write_page(self, path: Path) -> None:
        """Write the page alone, whole or not at all."""
        with replacing_file(path) as temporary:
            temporary.write_text(self.page())

    def page(self) -> str:
        """The page: one document that asks for no other."""
        return render(
            "report.html.j2", report=self, drawing=drawing, picture=picture, as_image=as_image
        )


def as_image(shown: Picture) -> Any:
    """The images of a picture, side by side."""
    return image_grid(shown.images, columns=shown.columns)


def render(template: str, **values: Any) -> str:
    """The template of that name, filled in."""
    return TEMPLATES.get_template(template).render(**values)


def save_panels(panels: Sequence[Panel], columns: int, *paths: Path) -> None:
    """Draw panels side by side and write them as PNG, or as PDF where a path says so."""
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)

    def draw(figure: Figure) -> None:
        """All panels, in rows from the left."""
        for place, panel in enumerate(panels, start=1):
            panel.draw(figure.add_subplot(rows, columns, place))

    save_figure(draw, (PANEL_WIDTH * columns, PANEL_HEIGHT * rows), *paths)


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


def supported(estimate: Mapping[str, float]) -> str:
    """The form of an estimate with the digits that its interval supports.

    Of half its width two digits if they begin below 3.55, and else one (Particle Data Group).
    """
    half = (estimate["upper"] - estimate["lower"]) / 2
    if not 0 < half < math.inf:
        return ".3g"
    first = math.floor(math.log10(half))
    decimals = (half < 3.55 * 10**first) - first
    if decimals <= MOST_DECIMALS:
        return f".{max(0, decimals)}f"
    largest = math.floor(math.log10(max(map(abs, estimate.values()))))
    return f".{decimals + largest}e"


def interval(estimate: Mapping[str, float], form: str) -> str:
    """The interval of an estimate in words: [lower, upper]."""
    return f"[{estimate['lower']:{form}}, {estimate['upper']:{form}}]"
