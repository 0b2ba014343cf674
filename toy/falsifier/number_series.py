"""Numbers over times that are others than they should be, told as formulas where there are such."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from toy.falsifier.sums import sum_of_terms

SAME = 1e-6
"""Relative difference up to which numbers are the same."""

NEGLIGIBLE = 1e-3
"""Of the largest number: what is smaller must be the same beside this."""

MOST = 3
"""So many numbers are told."""


@dataclass(frozen=True)
class Series:
    """A number at several times.

    Attributes:
        name: what it is.
        right: its formula, or an empty text.
        found, expected: its values, (times,).
        terms: of which it may be a sum, (times,) each.
        shows: whether predictions tell the one from the other.
    """

    name: str
    right: str
    found: Tensor
    expected: Tensor
    terms: Mapping[str, Tensor]
    shows: bool = True

    def formula(self) -> str:
        """As a sum of terms, beside the right one; an empty text if it is none."""
        found = sum_of_terms(self.found, self.terms)
        where = f", where {self.right} is right" if self.right else ""
        return found and f"{self.name} is {found}{where}"

    def value(self, times: Sequence[float]) -> str:
        """Where it is most wrong."""
        k = int((self.found - self.expected).abs().argmax())
        found, expected = self.found[k].item(), f"{self.expected[k].item():.6g}"
        right = expected if self.right in ("", expected) else f"{self.right} = {expected}"
        return f"{self.name} is {found:.6g} at t = {times[k]:.6g}, where {right} is right"


def differing(all_of: Sequence[Series]) -> list[Series]:
    """Those that are other numbers: beside their own size, and beside that of all at the time."""
    largest = torch.stack([torch.maximum(s.found.abs(), s.expected.abs()) for s in all_of]).amax(0)
    apart = [(series, (series.found - series.expected).abs()) for series in all_of]
    return [
        series
        for series, by in apart
        if series.shows and (by > SAME * (series.expected.abs() + NEGLIGIBLE * largest)).any()
    ]


def tell(different: Sequence[Series], times: Sequence[float]) -> str:
    """The first few of them; an empty text if there are none."""
    more = [f"{len(different) - MOST} more numbers differ"] if len(different) > MOST else []
    told = [series.formula() or series.value(times) for series in different[:MOST]]
    return "; ".join(told + more)


def by_chance(different: Sequence[Series]) -> bool:
    """Whether many numbers differ and none is a formula: they were found by least squares alone."""
    return len(different) > MOST and not any(series.formula() for series in different[:MOST])
