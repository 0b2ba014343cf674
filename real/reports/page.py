"""One way to make a report: numbers as JSON, a figure drawn from them, and a page around both."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import matplotlib
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from matplotlib.figure import Figure

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
class Report(ABC):
    """Numbers, and how they are shown. A kind of report says what is its own; writing is common.

    Attributes:
        numbers: plain data, as the JSON file holds them.
        name: of the JSON file, without its ending.
        figures: names of the figure's files.
        size: of the figure, in inches.
        template: of the page, NAME.html.j2; None for no page.
    """

    numbers: dict[str, Any]
    name: ClassVar[str]
    figures: ClassVar[tuple[str, ...]]
    size: ClassVar[tuple[float, float]]
    template: ClassVar[str | None] = None

    @abstractmethod
    def draw(self, figure: Figure) -> None:
        """Draw the numbers onto an empty figure."""

    def summary(self) -> list[str]:
        """The main numbers in words, a line each."""
        return []

    def page(self) -> dict[str, Any]:
        """What the template is filled with."""
        return self.numbers

    def write(self, out: Path) -> None:
        """Write all files into a folder; they appear all or not at all."""
        with replacing_folder(out) as folder:
            self.write_into(folder)

    def write_into(self, folder: Path) -> None:
        """Write all files into an existing folder."""
        write_json(folder / f"{self.name}.json", self.numbers)
        save_figure(self.draw, self.size, *(folder / figure for figure in self.figures))
        if self.template:
            text = render(self.template, **self.page())
            (folder / self.template.removesuffix(".j2")).write_text(text)


def render(template: str, **values: Any) -> str:
    """The template of that name, filled in."""
    return TEMPLATES.get_template(template).render(**values)


def save_figure(draw: Callable[[Figure], None], size: tuple[float, float], *paths: Path) -> None:
    """Draw a figure in the style of all figures, and write it as PNG, or PDF where it is named so.

    Args:
        draw: draws onto an empty figure.
        size: in inches.
        paths: files to write.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size)
        draw(figure)
        for path in paths:
            figure.savefig(path, format="pdf" if path.suffix == ".pdf" else "png")


def interval(estimate: Mapping[str, float], form: str) -> str:
    """The interval of an estimate in words: [lower, upper]."""
    return f"[{estimate['lower']:{form}}, {estimate['upper']:{form}}]"
