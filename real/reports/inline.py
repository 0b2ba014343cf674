"""Drawings and pictures as text that stands in a page, so that the page needs no other file."""

import base64
import io
import re

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from real.reports.elements import Panel
from theory.support.plot_style import STYLE

PANEL_SIZE = (3.6, 2.8)
"""Inches: as wide as the text of a narrow telephone, so that letters keep their size there."""
INK = "#010203"
"""Stands for the page's own colour of text while a drawing is made."""
DRAWN = STYLE | {
    "svg.fonttype": "path",
    "svg.hashsalt": "report",
    "savefig.transparent": True,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
LARGEST_SIDE, LARGEST_PNG = 1024, 300_000
"""Of a picture in a page: pixels of a side, and bytes beyond which it is stored with some loss."""


def drawing(panel: Panel, name: str) -> Markup:
    """A panel as SVG in the page's own ink; ``name`` keeps its identifiers apart from others'."""
    with matplotlib.rc_context(DRAWN):
        figure = Figure(figsize=PANEL_SIZE)
        panel.draw(figure.subplots())
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(f"{INK}|#000000", "currentColor", svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\1{name}-", svg)
    label = Markup.escape(panel.alt)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1))


def picture(image: Image.Image) -> Markup:
    """A picture as the address of itself: PNG, or JPEG where that would be large."""
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    kind, content = "png", _encoded(image, "PNG")
    if len(content) > LARGEST_PNG:
        kind, content = "jpeg", _encoded(image, "JPEG", quality=85)
    return Markup(f"data:image/{kind};base64,{base64.b64encode(content).decode()}")


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()
