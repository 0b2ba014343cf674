"""What the tensors and the metadata of a calibration's file must be before they are used."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from theory.calibration import Calibration
from theory.low_rank import patterns

ANY = -1
"""Of a length that nothing else tells."""


def expected_shapes(times: int, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Of every tensor that there can be but the times, for images of that shape."""
    per_time = (
        "weights", "certificates", "gains", "error_energy", "plain_error_energy", "slope_gains",
        "slope_certificates", "class_gains", "class_certificates",
    )  # fmt: skip
    return {
        **dict.fromkeys(per_time, (times,)),
        **dict.fromkeys(("eta_sq", "eta_sq_of_set"), (times, 3)),
        **dict.fromkeys(("shift", "slope_offset"), (times, *shape)),
        **dict.fromkeys(("slope_pixel", "slope_cosine"), (times, 2, *shape)),
        "slope_low_rank": (times, ANY, *shape),
        "class_shift": (times, ANY, *shape),
        "class_weights": (times, ANY),
        "noise_energy": (times, 2),
        "image_ids": (ANY,),
    }


def require_layout(tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors of other shapes or dtypes than ``calibrations.save`` writes.

    Raises:
        ValueError: one of them.
        KeyError: there are no times, or no shift.
    """
    times, shift = tensors["times"], tensors["shift"]
    if times.dim() != 1 or not len(times) or times.is_complex() or shift.dim() < 2:
        raise ValueError("no times, or no shift for them")
    shapes = expected_shapes(len(times), tuple(shift.shape[1:]))
    for name, tensor in tensors.items():
        if name == "times":
            continue
        dtype = torch.int64 if name == "image_ids" else torch.float64
        shape = shapes.get(name, ())
        same = len(shape) == tensor.dim() and all(
            length in (ANY, got) for length, got in zip(shape, tensor.shape, strict=True)
        )
        if not same or tensor.dtype != dtype:
            raise ValueError(f"{name} is {tensor.dtype} {tuple(tensor.shape)}")
    ranks = 2 * patterns(tuple(shift.shape[1:])).shape[0] if "slope_low_rank" in tensors else 0
    if ranks and tensors["slope_low_rank"].shape[1] != ranks:
        raise ValueError("slope_low_rank is of another rank")
    if (
        "class_shift" in tensors
        and tensors["class_shift"].shape[:2] != tensors["class_weights"].shape
    ):
        raise ValueError("class_weights are of other classes")


def require_values(calibration: Calibration) -> None:
    """Refuse metadata of other kinds than ``calibrations.save`` writes.

    Raises:
        ValueError: one of them.
    """
    count, c = len(calibration.times), calibration
    kinds = () if c.slopes is None else c.slopes.kinds
    fits = {
        "smoothing": _is_number(c.smoothing) and c.smoothing >= 0,
        "bands": type(c.bands) is int,
        "total_certificate": _is_number(c.total_certificate),
        "provenance": isinstance(c.provenance, dict),
        "choices": len(c.choices) == count
        and all(
            isinstance(choice.estimator, str) and type(choice.images) is type(choice.draws) is int
            for choice in c.choices
        ),
        "kinds": c.slopes is None
        or (len(kinds) == count and all(isinstance(kind, str) for kind in kinds)),
        "noise_energy": (c.slopes is None) == (c.noise_energy is None),
    }
    wrong = [name for name, holds in fits.items() if not holds]
    if wrong:
        raise ValueError(f"{wrong[0]} is of another kind")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
