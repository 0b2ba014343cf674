"""The outcome of a claim, and the probability of a false alarm in a run."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal["exact", "statistical"]


@dataclass(frozen=True)
class Explanation:
    """What is wrong where a claim falls: a quantity that is not what it should be.

    Attributes:
        quantity: its name.
        t: the time.
        expected, got: its values, of a vector those that differ most.
        mistake: that would explain it everywhere, or an empty text if none of those known does.
        relation: of what is expected to the value, such as "less than"; an empty text for equality.
        where: in which part alone it is wrong, where no known mistake explains it; else an empty text.
    """

    quantity: str
    t: float
    expected: float
    got: float
    mistake: str = ""
    where: str = ""
    relation: str = ""

    @property
    def reason(self) -> str:
        """The mistake, or else where it is."""
        return self.mistake or self.where

    def lines(self, told: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
        """As text: the values and their ratio, and the mistake if one is known; once for a mistake.

        Args:
            told: mistakes that were told before, and of which claim.
        """
        if before := told.get(self.reason):
            yield f"likely mistake: as of {before}"
            return
        wanted = f"{self.relation} {self.expected:.10g}".lstrip()
        expected = "" if math.isinf(self.expected) else f"expected {wanted}, "
        yield f"{self.quantity} at t = {self.t:.12g}: {expected}got {self.got:.10g}{self._apart()}"
        if not self.mistake and not self.where and not self.relation:
            yield "likely mistake: none that is known, and no formula fits"
        if self.mistake:
            yield f"likely mistake: {self.mistake}"
        if self.where:
            yield f"where: {self.where}"

    def _apart(self) -> str:
        """The ratio of the values, or their difference where they are nearly the same."""
        if self.relation or not self.expected or not math.isfinite(self.expected + self.got):
            return ""
        if abs(self.got - self.expected) < 1e-4 * abs(self.expected):
            return f", {self.got - self.expected:+.2g} apart"
        if abs(self.expected) < 1e-9 * abs(self.got):
            return ""
        return f", ratio {self.got / self.expected:.6g}"


@dataclass(frozen=True)
class Evidence:
    """The outcome of a claim: a statistic that must not exceed its threshold.

    Attributes:
        claim, section: which statement.
        kind: "exact" (the statistic is a relative error) or "statistical" (it is a deviation that
            exceeds the threshold with probability at most ``level`` if the claim is true).
        examples: how many cases were tried (samples, for a statistical claim).
        worst: the largest statistic seen; a relative error includes the quadrature's own.
        tolerance: the threshold.
        level: probability of a false alarm; zero for exact claims.
        asymptotic: whether that level holds in the limit of many images only, and is not proven.
        counterexample: a case on which the claim fails, or an empty text.
        quadrature: the largest error that the quadrature of an exact claim reports of itself.
        unresolved: how many cases the quadrature could not resolve.
        open: whether those are too many for a verdict on the claim.
        cases: a digest of the cases of an exact claim in their order, the same wherever they are;
            an empty text for a statistical claim, whose sample its seed fixes.
        explanations: of the counterexample, if there is one: what is wrong there.
    """

    claim: str
    section: str
    kind: Kind
    examples: int
    worst: float
    tolerance: float
    level: float = 0.0
    asymptotic: bool = False
    counterexample: str = ""
    quadrature: float = 0.0
    unresolved: int = 0
    open: bool = False
    cases: str = ""
    explanations: tuple[Explanation, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the claim stands; NaN does not pass, nor does what is left open."""
        return self.worst <= self.tolerance and not self.open


def false_alarm_probability(evidence: Iterable[Evidence], asymptotic: bool = False) -> float:
    """Union bound over a run: the probability that any true claim is rejected is at most this.

    It is of the claims whose level is proven, or else of those whose level is asymptotic.
    """
    return sum((e.level for e in evidence if e.asymptotic == asymptotic), 0.0)
