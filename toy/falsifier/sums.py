"""Of which terms values are made: a number times one, or the sum of two such, everywhere."""

import math
from collections.abc import Iterator, Mapping
from itertools import product

import torch
from torch import Tensor

from toy.falsifier.mistakes import AGREES

HIGHEST = 4
"""Power of a factor."""

FEWEST = 6
"""So many values must be known."""

COLLINEAR = 1e-7
"""Two terms are told apart if one minus their squared cosine is more than this."""

MISSED = 1e-11
"""The share of squares that a sum may leave to be looked at more closely."""

EPSILON = 1e-14
"""Rounding of squares."""

CLOSELY = 1000
"""How many sums are."""

ROUNDING = 1e-11
"""Of a term, which is left where terms cancel."""

TWELFTHS, NEARLY = 12, 1e-6
"""A plain number is a multiple of 1/12, nearly."""


def sum_of_terms(got: Tensor, terms: Mapping[str, Tensor]) -> str:
    """The simplest sum of one or two terms, each times a number, that gives all values; or "".

    Args:
        got: the values that came, of any shape.
        terms: of the same shape, by name, the simplest first; those that are not numbers fit nothing.
    """
    y = got.flatten()
    if len(y) < FEWEST or not terms:
        return ""
    columns = torch.stack([values.expand_as(got).flatten() for values in terms.values()])
    found = [
        (
            sum(not _is_plain(number) for number in numbers),
            len(chosen),
            sum(chosen),
            chosen,
            numbers,
        )
        for chosen in _candidates(y, columns)
        if (numbers := _numbers(y, columns[list(chosen)])) is not None
    ]
    if not found:
        return ""
    *_, chosen, numbers = min(found)
    names = list(terms)
    return _formula([names[k] for k in chosen], numbers)


def products(factors: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
    """Products of powers of positive factors, by name, those of the smallest powers first.

    Args:
        factors: by name.
        size: the largest sum of the powers, without their signs.
    """
    one = torch.ones_like(next(iter(factors.values())))
    powers = product(range(-HIGHEST, HIGHEST + 1), repeat=len(factors))
    found = {}
    for chosen in sorted((some for some in powers if _size(some) <= size), key=_size):
        pairs = zip(factors.values(), chosen, strict=True)
        raised = [value**power for value, power in pairs if power]
        found[_name(dict(zip(factors, chosen, strict=True)))] = math.prod(raised, start=one)
    return found


def times(of: Mapping[str, Tensor], by: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every value of the one kind times every one of the other, by its name."""
    return {
        _times(name, factor): value * values
        for factor, values in by.items()
        for name, value in of.items()
    }


def _size(powers: tuple[int, ...]) -> int:
    return sum(map(abs, powers))


def _name(powers: Mapping[str, int]) -> str:
    """Such as alpha^2/sigma, or 1/(alpha sigma)."""
    above, below = (
        [
            name if power * sign == 1 else f"{name}^{power * sign}"
            for name, power in powers.items()
            if power * sign > 0
        ]
        for sign in (1, -1)
    )
    divisor = f"({' '.join(below)})" if len(below) > 1 else "".join(below)
    return f"{' '.join(above) or '1'}{'/' if below else ''}{divisor}"


def _times(name: str, factor: str) -> str:
    above, slash, below = factor.partition("/")
    return f"{' '.join(part for part in (above, name) if part != '1') or '1'}{slash}{below}"


def _candidates(y: Tensor, columns: Tensor) -> Iterator[tuple[int, ...]]:
    """Single terms, and the pairs that by their squares may give the values."""
    weights = 1 / y.abs().clamp_min(AGREES * y.abs().max())
    scaled = columns * weights
    scaled = scaled / scaled.norm(dim=1, keepdim=True)
    wanted = y * weights / (y * weights).norm()
    along, cosines = scaled @ wanted, scaled @ scaled.T
    yield from ((int(k),) for k in (1 - along.square() < MISSED).nonzero()[:, 0])
    apart = 1 - cosines.square()
    explained = along.square()[:, None] + (along[None] - cosines * along[:, None]).square() / apart
    fits = (1 - explained < MISSED + EPSILON / apart) & (apart > COLLINEAR)
    pairs = fits.triu(1).nonzero()
    simplest = pairs[pairs.sum(1).argsort(stable=True)][:CLOSELY]
    yield from ((int(j), int(k)) for j, k in simplest)


def _numbers(y: Tensor, terms: Tensor) -> list[float] | None:
    """By which terms (k, n) must be multiplied to give the values, if they can."""
    weights = 1 / y.abs().clamp_min(AGREES * y.abs().max())
    numbers = torch.linalg.lstsq((terms * weights).T, (y * weights)[:, None]).solution[:, 0]
    parts = numbers[:, None] * terms
    rounding = ROUNDING * parts.abs().amax(0)
    fits = ((parts.sum(0) - y).abs() <= AGREES * y.abs() + rounding).all()
    needed = (parts.abs() > AGREES * y.abs() + rounding).any(1).all()
    return numbers.tolist() if fits and needed else None


def _is_plain(number: float) -> bool:
    return abs(TWELFTHS * number - round(TWELFTHS * number)) < NEARLY * max(1, abs(number))


def _formula(names: list[str], numbers: list[float]) -> str:
    """As text, such as 2 sigma - 1/alpha."""
    text = ""
    pairs = zip(names, numbers, strict=True)
    for name, number in sorted(pairs, key=lambda pair: pair[1] < 0):
        size, sign = f"{abs(number):.6g}", "-" if number < 0 else "+"
        part = size + name[1:] if name[0] == "1" else name if size == "1" else f"{size} {name}"
        text += f" {sign} {part}" if text else part if sign == "+" else f"-{part}"
    return text
