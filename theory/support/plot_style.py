"""The style of every figure, as plain data for matplotlib's rc parameters."""

from typing import Any

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#7F7F7F"
PINK, SKY = "#CC79A7", "#56B4E9"
"""Okabe and Ito's colours, which colour-blind readers tell apart."""

STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
}
