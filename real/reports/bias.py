"""The constant shift of a calibration as images, over time."""

import torch
from torch import Tensor

from real.reports.elements import Picture, Section
from theory.calibration import Calibration

MOST_TIMES = 12
POSITIVE, NEGATIVE = (0.84, 0.37, 0.0), (0.0, 0.45, 0.70)
"""Orange where the network predicts too much, blue where it predicts too little."""


def bias_section(calibration: Calibration) -> Section:
    """What is subtracted from every prediction, at up to twelve of the times where anything is."""
    title = "The network's bias, seen"
    applied = torch.nonzero(calibration.weights > 0).flatten()
    if not len(applied):
        return Section(title, ("No constant shift is certain at any time, so none is shown.",))
    at = applied[torch.linspace(0, len(applied) - 1, min(MOST_TIMES, len(applied))).round().long()]
    shift = calibration.shift[at]
    scale = shift.abs().max().clamp(min=1e-30)
    times = ", ".join(f"{t:g}" for t in calibration.times[at].tolist())
    colour = shift.shape[1] == 3
    meaning = (
        "grey is no bias, and a tint is one of that colour"
        if colour
        else "orange where the network predicts too much, blue where too little, none where it is dark"
    )
    caption = f"The shift at t = {times}, from the left, on one scale of {scale:.2g} ({meaning})."
    images = shift / scale if colour else signed_colours(shift.mean(1) / scale)
    return Section(title, pictures=(Picture(images.float(), caption, "bias.png", len(at)),))


def signed_colours(values: Tensor) -> Tensor:
    """Values (n, h, w) in [-1, 1] as images (n, 3, h, w) in [-1, 1]: dark at 0."""
    ends = torch.tensor([POSITIVE, NEGATIVE], dtype=values.dtype)
    positive, negative = values.clamp(min=0)[:, None], (-values).clamp(min=0)[:, None]
    shares = positive * ends[0, :, None, None] + negative * ends[1, :, None, None]
    return 2 * shares - 1
