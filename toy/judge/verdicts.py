"""Try claims and their mutants, and report the outcome as text and as JSON."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from toy.judge.claim import Claim
from toy.judge.evidence import Evidence, false_alarm_probability

OPEN = "left open: the quadrature cannot resolve enough cases, so the claim neither holds nor falls"


@dataclass(frozen=True)
class MutantVerdict:
    """A mutant, and the counterexample that caught it, or None if it survives."""

    id: str
    claim: str
    counterexample: str | None

    @property
    def caught(self) -> bool:
        """Whether it was caught."""
        return self.counterexample is not None


@dataclass(frozen=True)
class Verdict:
    """The evidence for one claim, and its mutants."""

    says: str
    evidence: Evidence
    mutants: tuple[MutantVerdict, ...]


@dataclass(frozen=True)
class NotTried:
    """Claims that were not tried.

    Attributes:
        count: how many of them.
        why: as a clause.
        or_more: whether they could not all be counted.
    """

    count: int
    why: str
    or_more: bool = False

    def line(self) -> str:
        """As text."""
        least = "at least " if self.or_more else ""
        return f"not tried: {least}{self.count} claim{'s' * (self.count != 1)}, as {self.why}"


def judge(claim: Claim, examples: int, seed: int) -> Verdict:
    """Try one claim and its mutants."""
    evidence = claim.uphold(examples, seed)
    mutants = tuple(
        MutantVerdict(mutant.id, claim.id, claim.catch(mutant, examples, seed))
        for mutant in claim.mutants
    )
    return Verdict(claim.says, evidence, mutants)


def verify(claims: Iterable[Claim], examples: int, seed: int) -> Iterator[Verdict]:
    """Each claim's verdict in turn."""
    return (judge(claim, examples, seed) for claim in claims)


def stands(verdicts: list[Verdict]) -> bool:
    """Whether every claim passed and every mutant was caught."""
    return all(v.evidence.passed and all(m.caught for m in v.mutants) for v in verdicts)


def falls(verdicts: list[Verdict]) -> bool:
    """Whether a claim fell or a mutant survived; a claim that is left open did not fall."""
    return any(
        not (v.evidence.passed or v.evidence.open) or not all(m.caught for m in v.mutants)
        for v in verdicts
    )


def report_lines(verdict: Verdict, told: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    """The verdict as text: the claim, and under it each mutant with its counterexample.

    Args:
        verdict: of a claim.
        told: mistakes that need not be told again, and of which claim they were.
    """
    e = verdict.evidence
    word = "OPEN  " if e.open else "holds " if e.passed else "FALLS "
    yield f"{word} §{e.section}  {e.claim:16} {verdict.says}; {_measured(e)}"
    if e.open:
        yield f"          {OPEN}"
    if e.counterexample:
        yield f"          counterexample: {e.counterexample}"
    lines = (line for explanation in e.explanations for line in explanation.lines(told))
    yield from (f"          {line}" for line in dict.fromkeys(lines))
    for mutant in verdict.mutants:
        word = "caught" if mutant.caught else "SURVIVES"
        yield f"    {word} {mutant.id}: {mutant.counterexample or 'no counterexample found'}"


def _measured(e: Evidence) -> str:
    """The statistic of a claim, and in how many cases or samples it was measured."""
    if e.kind == "statistical":
        return (
            f"deviation {e.worst:.2f} of its threshold at {'asymptotic ' * e.asymptotic}level "
            f"{e.level:.0e}, n = {e.examples}"
        )
    if e.unresolved == e.examples:
        return f"none of {e.examples} cases could be resolved"
    left = f", {e.unresolved} not resolved" if e.unresolved else ""
    return (
        f"worst {e.worst:.1e} of {e.tolerance:.0e}{_of_quadrature(e)} "
        f"in {e.examples - e.unresolved} cases{left}"
    )


def _of_quadrature(evidence: Evidence) -> str:
    """The quadrature's part of the worst error, if there is any."""
    return f" (quadrature {evidence.quadrature:.1e})" if evidence.quadrature else ""


def summary_line(verdicts: list[Verdict]) -> str:
    """How many claims hold and mutants were caught, and the probability of a false alarm."""
    evidence, mutants = [v.evidence for v in verdicts], [m for v in verdicts for m in v.mutants]
    parts = [f"{sum(e.passed for e in evidence)} of {len(evidence)} claims hold"]
    if left_open := sum(e.open for e in evidence):
        parts.append(f"{left_open} not resolved")
    if mutants:
        parts.append(f"{sum(m.caught for m in mutants)} of {len(mutants)} mutants caught")
    level, in_the_limit = (
        false_alarm_probability(evidence, asymptotic) for asymptotic in (False, True)
    )
    chance = f"at most {level:.0e}" if level or in_the_limit else "none, as every claim is exact"
    if in_the_limit:
        chance += f", and {in_the_limit:.0e} of claims whose level is asymptotic"
    return f"{', '.join(parts)}; probability of a false alarm in the whole run: {chance}"


def as_json(verdicts: list[Verdict], not_tried: list[NotTried]) -> dict[str, Any]:
    """Plain data: ``claims``, ``mutants``, ``not_tried``, and the probabilities of a false alarm."""
    evidence = [v.evidence for v in verdicts]
    return {
        "claims": [
            {"id": v.evidence.claim, "says": v.says}
            | {key: value for key, value in asdict(v.evidence).items() if key != "claim"}
            | {"passed": v.evidence.passed}
            for v in verdicts
        ],
        "mutants": [asdict(m) | {"caught": m.caught} for v in verdicts for m in v.mutants],
        "not_tried": [asdict(claims) for claims in not_tried],
        "false_alarm_probability": false_alarm_probability(evidence),
        "asymptotic_false_alarm_probability": false_alarm_probability(evidence, asymptotic=True),
    }  # fmt: skip
