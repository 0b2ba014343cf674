"""What a report is made of: sections with words, drawings, pictures, tables and lines to copy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from torch import Tensor

GOOD, BAD, PLAIN, QUIET = "good", "bad", "plain", "quiet"
"""Tones of words: what is better, what is worse, and what is said beside."""


@dataclass(frozen=True)
class Panel:
    """A drawing on one pair of axes.

    Attributes:
        draw: draws onto empty axes.
        alt: what is to be seen, for a reader who does not see it.
    """

    draw: Callable[[Axes], None]
    alt: str


@dataclass(frozen=True)
class Picture:
    """Images (n, c, h, w) in [-1, 1] side by side.

    Attributes:
        images: what is shown.
        caption: what it is, which is also said to a reader who does not see it.
        file: name of a PNG file of its own; empty for none.
        columns: images in a row; 0 for a square-ish picture.
    """

    images: Tensor
    caption: str
    file: str = ""
    columns: int = 0


@dataclass(frozen=True)
class Cell:
    """Words of a table in a tone, with others beside them that matter less."""

    text: str
    tone: str = PLAIN
    beside: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under headers, no two of which are alike.

    Attributes:
        columns: the headers.
        rows: a text or a cell for each.
        caption: what the rows are.
        folded: whether it is shown only on demand.
    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[str | Cell]]
    caption: str
    folded: bool = False

    def __post_init__(self) -> None:
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(f"table: expected headers that differ, got {self.columns}")
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"table: expected {len(self.columns)} cells in each row")


@dataclass(frozen=True)
class Section:
    """A part of a report under a heading; what is empty is left out.

    Attributes:
        title: the heading.
        text: paragraphs.
        panels, pictures, tables: in this order below.
        code: lines to copy.
    """

    title: str
    text: tuple[str, ...] = ()
    panels: tuple[Panel, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    code: str = ""
