"""What a claim is, and how it is upheld or falsified.

An exact claim has an error that must stay within its tolerance on every case that Hypothesis makes.
A statistical claim has a deviation that stays within 1 except with probability ``level``. Each claim
has mutants: the same claim with a plausible mistake, which must be caught.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.strategies import SearchStrategy

from toy.judge.evidence import Evidence, Explanation
from toy.judge.local_constants import without_local_constants
from toy.numerics.reported_errors import MeasuredError, UnresolvedError, measure_error

EXACT_TOLERANCE = 1e-8

LEVEL = 1e-8
"""Probability that one statistical claim is rejected though true."""

SEARCHED = 150
"""Least number of cases among which a counterexample to a mutant is looked for."""

FAILURES = (ArithmeticError, ValueError, TypeError, LookupError, RuntimeError)
"""What a mutant may raise, which is not to be caught."""

DIGEST_BYTES = 8
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
"""Where an object lies in memory, in the text of one that has no text of its own."""


@dataclass(frozen=True)
class Trial:
    """The outcome of a statistical check: a deviation in units of its threshold, from n samples."""

    deviation: float
    n: int


@dataclass(frozen=True)
class Mutant:
    """A claim with a mistake in it. ``check`` takes a case or, if statistical, a seed."""

    id: str
    check: Callable[[Any], Any]


@dataclass(frozen=True)
class ExactClaim:
    """A relative error is at most ``tolerance`` for every case of a strategy.

    The error that the quadrature reports of itself is added to it (``toy.numerics.reported_errors``).
    A case that the quadrature does not resolve is no counterexample.

    Attributes:
        id, section, says: what is claimed, and where the theory has it.
        strategy: the cases.
        error: of a case.
        mutants: mistakes that must be caught.
        tolerance: of the error.
        always: cases that are tried at every seed, as few seeds would find them.
        share: of the examples asked for that are tried, where a case takes long.
        to_resolve: the share of the cases that must be resolved; else the claim is left open.
        explains: from a counterexample to what is wrong there, if that is known.
    """

    id: str
    section: str
    says: str
    strategy: SearchStrategy[Any]
    error: Callable[[Any], float]
    mutants: tuple[Mutant, ...]
    tolerance: float = EXACT_TOLERANCE
    always: tuple[Any, ...] = ()
    share: float = 1.0
    to_resolve: float = 1.0
    explains: Callable[[Any], tuple[Explanation, ...]] = lambda case: ()

    def uphold(self, examples: int, run_seed: int) -> Evidence:
        """The evidence of so many cases, with a shrunk counterexample if the claim falls."""
        return self._record(examples, run_seed).evidence()

    def _record(self, examples: int, run_seed: int) -> "Record":
        """What was tried; kept, as mutants are tried on the same cases."""
        key = (examples, run_seed)
        if key not in self._records:
            self._records.clear()
            self._records[key] = self.tried(examples, run_seed)
        return self._records[key]

    @cached_property
    def _records(self) -> "dict[tuple[int, int], Record]":
        """The last record, by number of examples and seed."""
        return {}

    def tried(self, examples: int, run_seed: int) -> "Record":
        """Try so many cases, up to the first counterexample."""
        record = Record(self)
        attempt = record.attempt
        most = math.ceil(self.share * examples)
        attempt_random = seed(run_seed)(_settings(most)(given(self.strategy)(attempt)))
        with suppress(Falsified), without_local_constants():
            for case in self.always:
                attempt(case)
            attempt_random()
        return record

    def catch(self, mutant: Mutant, examples: int, run_seed: int) -> str | None:
        """A case on which the claim holds and the mutant fails, or None if the mutant survives.

        It is one of those on which the claim was found to hold, the shortest that there is; if there is
        none, one of ``SEARCHED`` at least.
        """
        held = sorted(self._record(examples, run_seed).held, key=lambda case: len(repr(case)))
        case = next((case for case in held if self._fails(mutant, case)), None)
        if case is None and len(held) < SEARCHED:
            more = _drawn(self.strategy, max(examples, SEARCHED), run_seed)
            case = next((case for case in more if self._catches(case, mutant)), None)
        return None if case is None else f"{case!r}, error {mutant.check(case):.3g}"

    def _catches(self, case: Any, mutant: Mutant) -> bool:
        return self._fails(mutant, case) and self._holds(case)

    def _fails(self, mutant: Mutant, case: Any) -> bool:
        return _error_of(mutant, case) > self.tolerance

    def _holds(self, case: Any) -> bool:
        return _resolved(self.error, case, otherwise=math.inf).most <= self.tolerance


@lru_cache(maxsize=1)
def _drawn(strategy: SearchStrategy[Any], count: int, run_seed: int) -> list[Any]:
    """So many cases of a strategy; kept, as all mutants of a claim share them."""
    cases: list[Any] = []

    def keep(case: Any) -> None:
        """Take a case in."""
        cases.append(case)

    with without_local_constants():
        seed(run_seed)(_settings(count)(given(strategy)(keep)))()
    return cases


class Record:
    """The errors of an exact claim on the cases tried so far, and its counterexample if there is one.

    The cases on which it held are kept, for its mutants, and a digest of all cases in their order, which
    tells two runs apart that tried other ones.
    """

    def __init__(self, claim: ExactClaim) -> None:
        self._claim = claim
        self._errors: list[MeasuredError] = []
        self.held: list[Any] = []
        self._unresolved = 0
        self._digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._failure: tuple[MeasuredError, Any] | None = None

    @property
    def fell(self) -> bool:
        """Whether there is a counterexample."""
        return self._failure is not None

    def attempt(self, case: Any) -> None:
        """Try a case.

        Raises:
            Falsified: the claim does not hold on it.
        """
        try:
            error = measure_error(self._claim.error, case)
        except UnresolvedError:
            self._unresolved += 1
            self._digest_case(case)
        else:
            self.add(error, case)

    def add(self, error: MeasuredError, case: Any) -> None:
        """Count a case whose error is known.

        Raises:
            Falsified: the claim does not hold on it.
        """
        self._errors.append(error)
        self._digest_case(case)
        if not error.most <= self._claim.tolerance:
            self._failure = error, case
            raise Falsified(self._claim.id)
        self.held.append(case)

    def _digest_case(self, case: Any) -> None:
        self._digest.update(ADDRESS.sub("", repr(case)).encode() + b"\n")

    def add_simplest(self, simpler: Callable[[Any], Iterable[Any]]) -> None:
        """Replace the counterexample by the first simpler case on which the claim fails as well."""
        if self._failure:
            with suppress(Falsified):
                for case in simpler(self._failure[1]):
                    self.attempt(case)

    def evidence(self) -> Evidence:
        """The error of the counterexample, if there is one; else the largest error."""
        claim, n, errors = self._claim, len(self._errors) + self._unresolved, self._errors
        counterexample, left_open = "", len(errors) < max(1, claim.to_resolve * n)
        explanations: tuple[Explanation, ...] = ()
        if self._failure:
            errors, counterexample, left_open = [self._failure[0]], repr(self._failure[1]), False
            explanations = claim.explains(self._failure[1])
        return Evidence(
            claim.id, claim.section, "exact", n, max((e.most for e in errors), default=math.inf),
            claim.tolerance, counterexample=counterexample,
            quadrature=max((e.quadrature for e in errors), default=0.0),
            unresolved=self._unresolved, open=left_open, cases=self._digest.hexdigest(),
            explanations=explanations,
        )  # fmt: skip


@dataclass(frozen=True)
class StatisticalClaim:
    """``trial(seed).deviation`` exceeds 1 with probability at most ``level`` if the claim is true.

    If ``asymptotic``, in the limit of many images only, or of many repetitions.
    """

    id: str
    section: str
    says: str
    trial: Callable[[int], Trial]
    mutants: tuple[Mutant, ...]
    level: float = LEVEL
    asymptotic: bool = False

    def uphold(self, examples: int, run_seed: int) -> Evidence:
        """The evidence of one trial, whose sample size does not depend on the number of examples."""
        trial = self.trial(run_seed)
        return Evidence(
            self.id, self.section, "statistical", trial.n, trial.deviation, 1.0, self.level,
            self.asymptotic,
        )  # fmt: skip

    def catch(self, mutant: Mutant, examples: int, run_seed: int) -> str | None:
        """The deviation that caught the mutant, or None if it survives."""
        with suppress(*FAILURES):
            trial = mutant.check(run_seed)
            if trial.deviation > 1.0:
                return f"seed {run_seed}, n = {trial.n}: deviation {trial.deviation:.3g} of its threshold"
        return None


Claim = ExactClaim | StatisticalClaim


def exact_claim(
    claim_id: str,
    section: str,
    says: str,
    strategy: SearchStrategy[Any],
    error: Callable[..., float],
    *,
    always: tuple[Any, ...] = (),
    share: float = 1.0,
    **mistakes: Mapping[str, Any],
) -> ExactClaim:
    """A claim with its mutants.

    Args:
        claim_id, section, says, strategy, error, always, share: as for ``ExactClaim``.
        mistakes: for an argument of ``error`` its wrong values, by the ids of their mutants; as
            ``instead``, other functions of a case that take the place of ``error``.
    """
    mutants = _mutants(error, mistakes)
    return ExactClaim(claim_id, section, says, strategy, error, mutants, always=always, share=share)


def statistical_claim(
    claim_id: str,
    section: str,
    says: str,
    trial: Callable[..., Trial],
    *,
    asymptotic: bool = False,
    **mistakes: Mapping[str, Any],
) -> StatisticalClaim:
    """A claim with its mutants.

    Args:
        claim_id, section, says, trial, asymptotic: as for ``StatisticalClaim``.
        mistakes: for an argument of ``trial`` its wrong values, by the ids of their mutants.
    """
    mutants = _mutants(trial, mistakes)
    return StatisticalClaim(claim_id, section, says, trial, mutants, asymptotic=asymptotic)


def _mutants(
    check: Callable[..., Any], mistakes: Mapping[str, Mapping[str, Any]]
) -> tuple[Mutant, ...]:
    """The check with one argument replaced, or another check altogether (``instead``)."""
    return tuple(
        Mutant(mutant, value if argument == "instead" else partial(check, **{argument: value}))
        for argument, values in mistakes.items()
        for mutant, value in values.items()
    )


class Falsified(AssertionError):
    """A case on which a claim does not hold."""


def _error_of(mutant: Mutant, case: Any) -> float:
    """The least error that a mutant may have on a case; none if it fails, or is not resolved.

    A mutant that gives NaN or raises is not caught by its claim: anything would see that.
    """
    try:
        return _resolved(mutant.check, case, otherwise=0.0).least
    except FAILURES:
        return 0.0


def _resolved(error: Callable[[Any], float], case: Any, otherwise: float) -> MeasuredError:
    """The error, or ``otherwise`` where the quadrature does not resolve it."""
    try:
        return measure_error(error, case)
    except UnresolvedError:
        return MeasuredError(otherwise, 0.0)


def _settings(examples: int) -> Any:
    return settings(
        max_examples=examples, database=None, deadline=None, verbosity=Verbosity.quiet,
        report_multiple_bugs=False, print_blob=False, suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink), derandomize=False, backend="hypothesis",
    )  # fmt: skip
