"""Which known mistake explains wrong values: the one that gives those very values everywhere."""

import inspect
import math
from collections.abc import Iterator, Mapping
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

AGREES = 1e-6
"""Relative difference up to which values are those of a mistake."""

ROUNDED = 2e-6
"""The largest relative error that float32's rounding alone is taken to be, some of its units."""

ROUNDED_AND_AMPLIFIED = 1e-3
"""The same where there is float32 to be seen."""

ENOUGH = 0.5
"""Share of the values for which it must be known what a mistake gives."""

NEARLY_ONE = 1e-3
"""So near to one a factor is told by what it has more."""

ONE = 1e-9
"""A factor so near to one is none."""

NOTHING, SHARE = 1e-12, 0.25
"""Float32's rounding gives more than so little error in this share of the places at least."""

FLOAT32 = (
    "float32 parameters or arithmetic, or numbers of the data made without dtype=torch.float64: the "
    "error is everywhere as small as float32's rounding; make the numbers in float64"
)
KNOWN_FACTORS = {
    1e3: "a time in thousandths", 1e-3: "a time in thousandths",
    180 / math.pi: "degrees for radians", math.pi / 180: "degrees for radians",
    math.log(10): "log10 for log", 1 / math.log(10): "log10 for log",
    10 / math.log(10): "decibels for log", math.log(10) / 10: "decibels for log",
    math.pi / 2: "pi/2, the inner derivative of cos(pi t/2)",
    2 / math.pi: "pi/2, the inner derivative of cos(pi t/2)",
    math.pi: "pi", 1 / math.pi: "pi", 2 * math.pi: "2 pi", 0.5 / math.pi: "2 pi",
}  # fmt: skip
"""What a factor betrays."""

DEPTH = 4
"""How deep float32 is looked for: of a function in an object in an object."""


def explaining(got: Tensor, wrong: Mapping[str, Tensor]) -> str:
    """The first mistake whose values are those that came, or an empty text.

    Args:
        got: the values that came; of a vector at each time, (n, ...).
        wrong: by the name of a mistake the values that it gives, of the same shape.
    """
    return next((name for name, values in wrong.items() if _agree(got, values)), "")


def constant_factor(got: Tensor, expected: Tensor) -> str:
    """The factor between values that are everywhere the same multiple; an empty text for others."""
    size = expected.abs().max() if len(expected) else 0
    known = expected.abs() > AGREES * size
    if known.sum() < 3 or not got[~known].abs().le(AGREES * got.abs().max()).all():
        return ""
    factors = got[known] / expected[known]
    factor = factors.median().item()
    varies = not factors.isfinite().all() or not factor or _vary(factors, factor)
    if varies or abs(factor - 1) < ONE:
        return ""
    said = [name for value, name in KNOWN_FACTORS.items() if abs(factor / value - 1) < AGREES]
    if abs(factor - 1) < NEARLY_ONE:
        return (
            f"everywhere 1 {factor - 1:+.3g} times what it should be: a constant with few digits?"
        )
    return f"everywhere {factor:.6g} times what it should be{': ' if said else ''}{''.join(said)}"


def _vary(factors: Tensor, factor: float) -> bool:
    return bool(((factors / factor - 1).abs() > AGREES).any())


def _agree(got: Tensor, values: Tensor) -> bool:
    known = values.isfinite()
    size = torch.maximum(got.abs(), values.abs())
    enough = known.sum() >= ENOUGH * known.numel() and known.any()
    return bool(enough) and bool(((got - values).abs() <= AGREES * size)[known].all())


def is_rounding(errors: Tensor, got: Tensor, of: Any) -> bool:
    """Whether errors look like those of single precision: small, and nearly everywhere.

    Args:
        errors: relative ones, wherever they are known, (n,).
        got: the values that came.
        of: the function or object that gave them, in which float32 is looked for.
    """
    if len(errors) == 0 or not errors.quantile(1 - SHARE) > NOTHING:
        return False
    seen = is_single(got) or holds_float32(of)
    return bool(errors.max() <= (ROUNDED_AND_AMPLIFIED if seen else ROUNDED))


def is_single(values: Tensor) -> bool:
    """Whether float32 holds all values as they are."""
    return torch.equal(values, values.float().double())


def holds_float32(value: Any) -> bool:
    """Whether an object, or a function with what it refers to, has tensors of single precision."""
    return any(part.dtype in (torch.float32, np.float32) for part in _arrays(value, DEPTH))


def _arrays(value: Any, depth: int) -> Iterator[Tensor | np.ndarray]:
    if isinstance(value, Tensor | np.ndarray):
        yield value
    elif depth and not isinstance(value, ModuleType | type):
        for part in _parts(value):
            yield from _arrays(part, depth - 1)


def _parts(value: Any) -> list[Any]:
    """What a function refers to, or the parts of an object."""
    if isinstance(value, torch.nn.Module):
        return [*value.parameters(), *value.buffers()]
    if isinstance(value, partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, FunctionType):
        known = inspect.getclosurevars(value)
        return [*known.nonlocals.values(), *known.globals.values(), *(value.__defaults__ or ())]
    if isinstance(value, list | tuple):
        return list(value)
    return list(vars(value).values()) if hasattr(value, "__dict__") else []
