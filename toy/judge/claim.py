"""What a claim is, and how it is upheld or falsified.

An exact claim has an error that must stay within its tolerance on every case that Hypothesis
makes; a statistical one has a deviation that stays within 1 except with probability ``level``.
Beside each claim stand its mutants: the same claim with a plausible mistake, which must be caught.
"""

import math
import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, find, given, seed, settings
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy

from toy.judge.evidence import Evidence
from toy.numerics.quadrature import UnresolvedError
from toy.numerics.readings import Reading, read

EXACT_TOLERANCE = 1e-8

SEARCHED = 150
"""Cases among which a mutant is looked for, at least; one is enough."""

SHRINKS = 15
"""Cases that are tried to shrink a mutant's counterexample: two hundred mutants take most of a run."""


@dataclass(frozen=True)
class Trial:
    """One statistical check: the largest deviation in units of its threshold, from n samples."""

    deviation: float
    n: int


@dataclass(frozen=True)
class Mutant:
    """A claim with a mistake in it. ``check`` takes a case or, if statistical, a seed."""

    id: str
    check: Callable[[Any], Any]


@dataclass(frozen=True)
class ExactClaim:
    """``error(case)``, relative, is at most ``tolerance`` for every case of the strategy.

    To it is added what the quadrature reports of its own error (``toy.numerics.readings``).
    The cases that are ``always`` tried are those which few seeds would come upon. Where a case takes
    long, only a ``share`` of the number that is asked for is tried. A case that the quadrature does
    not resolve is no counterexample; but unless the share ``to_resolve`` of them is resolved, the
    claim is left open.
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

    def uphold(self, examples: int, run_seed: int) -> Evidence:
        """Try the claim on so many cases; a failure carries its shrunk counterexample."""
        return self.tried(examples, run_seed).evidence()

    def tried(self, examples: int, run_seed: int) -> "Record":
        """What comes of so many cases."""
        record = Record(self)
        attempt = record.attempt
        most = math.ceil(self.share * examples)
        attempt_random = seed(run_seed)(_settings(most)(given(self.strategy)(attempt)))
        with suppress(Falsified):
            for case in self.always:
                attempt(case)
            attempt_random()
        return record

    def catch(self, mutant: Mutant, examples: int, run_seed: int) -> str | None:
        """The case on which the claim holds and the mutant fails, or None if it survives.

        It is shrunk as far as ``SHRINKS`` cases lead, unless only one of those that are always tried
        tells them apart.
        """
        case = self._found(mutant, examples, run_seed)
        if case is None:
            case = next((c for c in self.always if self._tells_apart(c, mutant)), None)
        return None if case is None else f"{case!r}, error {mutant.check(case):.3g}"

    def _found(self, mutant: Mutant, examples: int, run_seed: int) -> Any | None:
        shrinking = _Shrinking(lambda case: self._tells_apart(case, mutant))
        try:
            return find(
                self.strategy,
                shrinking,
                settings=_settings(max(examples, SEARCHED)),
                random=random.Random(run_seed),
            )
        except NoSuchExample:
            return None
        except Enough:
            return shrinking.smallest

    def _tells_apart(self, case: Any, mutant: Mutant) -> bool:
        if _resolved(mutant.check, case, otherwise=0.0).least <= self.tolerance:
            return False
        return _resolved(self.error, case, otherwise=math.inf).most <= self.tolerance


class Enough(BaseException):
    """Ends a search that would go on; Hypothesis lets it through, as it does an interruption."""


class _Shrinking:
    """A test of cases, which ends the search when it has been asked ``SHRINKS`` times after a find.

    ``smallest`` is the last case that passed: Hypothesis only goes on from smaller ones.
    """

    def __init__(self, passes: Callable[[Any], bool]) -> None:
        self._passes = passes
        self._left = SHRINKS
        self.smallest: Any = None

    def __call__(self, case: Any) -> bool:
        if self.smallest is not None:
            if not self._left:
                raise Enough
            self._left -= 1
        passes = self._passes(case)
        if passes:
            self.smallest = case
        return passes


class Record:
    """What came of an exact claim on the cases tried so far."""

    def __init__(self, claim: ExactClaim) -> None:
        self._claim = claim
        self._readings: list[Reading] = []
        self._unresolved = 0
        self._failure: tuple[Reading, Any] | None = None

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
            reading = read(self._claim.error, case)
        except UnresolvedError:
            self._unresolved += 1
        else:
            self.add(reading, case)

    def add(self, reading: Reading, case: Any) -> None:
        """Count a case whose error is known.

        Raises:
            Falsified: the claim does not hold on it.
        """
        self._readings.append(reading)
        if not reading.most <= self._claim.tolerance:
            self._failure = reading, case
            raise Falsified(self._claim.id)

    def add_simplest(self, simpler: Callable[[Any], Iterable[Any]]) -> None:
        """Put the first simpler case on which the claim fails as well in place of the one found."""
        if self._failure:
            with suppress(Falsified):
                for case in simpler(self._failure[1]):
                    self.attempt(case)

    def evidence(self) -> Evidence:
        """The last counterexample, if there is any; else the largest error."""
        claim, n, counted = self._claim, len(self._readings) + self._unresolved, self._readings
        counterexample, left_open = "", len(counted) < max(1, claim.to_resolve * n)
        if self._failure:
            counted, counterexample, left_open = [self._failure[0]], repr(self._failure[1]), False
        return Evidence(
            claim.id, claim.section, "exact", n, max((r.most for r in counted), default=math.inf),
            claim.tolerance, counterexample=counterexample,
            quadrature=max((r.quadrature for r in counted), default=0.0),
            unresolved=self._unresolved, open=left_open,
        )  # fmt: skip


@dataclass(frozen=True)
class StatisticalClaim:
    """``trial(seed).deviation`` exceeds 1 with probability at most ``level`` if the claim is true."""

    id: str
    section: str
    says: str
    level: float
    trial: Callable[[int], Trial]
    mutants: tuple[Mutant, ...]

    def uphold(self, examples: int, run_seed: int) -> Evidence:
        """One trial; its sample size is its own, whatever the number of examples."""
        trial = self.trial(run_seed)
        return Evidence(
            self.id, self.section, "statistical", trial.n, trial.deviation, 1.0, self.level
        )

    def catch(self, mutant: Mutant, examples: int, run_seed: int) -> str | None:
        """What gave the mutant away, or None if it survives."""
        trial = mutant.check(run_seed)
        if trial.deviation <= 1.0:
            return None
        return f"seed {run_seed}, n = {trial.n}: deviation {trial.deviation:.3g} of its threshold"


Claim = ExactClaim | StatisticalClaim


class Falsified(AssertionError):
    """A case on which a claim does not hold."""


def _resolved(error: Callable[[Any], float], case: Any, otherwise: float) -> Reading:
    """The error, or ``otherwise`` where the quadrature cannot tell: never in the claim's favour."""
    try:
        return read(error, case)
    except UnresolvedError:
        return Reading(otherwise, 0.0)


def _settings(examples: int) -> Any:
    return settings(
        max_examples=examples,
        database=None,
        deadline=None,
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
