"""Every claim of the table holds and every mutant is caught."""

import pytest
from hypothesis import Phase, settings

from toy.claims.table import ALL
from toy.judge import claim as base
from toy.judge.claim import StatisticalClaim, Trial
from toy.judge.evidence import Evidence, false_alarm_probability

EXAMPLES, SEED = 40, 0
FALSE_ALARM_BUDGET = 1e-6
MUTANTS = [(claim, mutant) for claim in ALL for mutant in claim.mutants]


@pytest.mark.parametrize("claim", ALL, ids=lambda c: c.id)
def test_every_claim_holds(claim):
    evidence = claim.uphold(EXAMPLES, SEED)
    assert evidence.passed, evidence.counterexample
    assert evidence.examples >= EXAMPLES * getattr(claim, "share", 1.0)


@pytest.fixture
def first_counterexample(monkeypatch):
    """Counterexamples as they are found: to shrink all of them takes most of a run's time."""
    full = base._settings
    monkeypatch.setattr(base, "_settings", lambda n: settings(full(n), phases=(Phase.generate,)))


@pytest.mark.usefixtures("first_counterexample")
@pytest.mark.parametrize(("claim", "mutant"), MUTANTS, ids=[m.id for _, m in MUTANTS])
def test_every_mutant_is_caught(claim, mutant):
    assert claim.catch(mutant, EXAMPLES, SEED)


def are_unique(names):
    return len(set(names)) == len(names)


def test_ids_are_unique():
    claims, mutants = [c.id for c in ALL], [m.id for _, m in MUTANTS]
    assert are_unique(claims + mutants)
    assert not are_unique(claims + mutants[:1] + mutants)


def test_every_claim_has_a_mutant():
    assert [c.id for c in ALL if not c.mutants] == []


UNLIKELY = StatisticalClaim("chance", "0", "says", lambda seed: Trial(0.5, 7), (), level=1e-5)


def budget(claims):
    evidence = [
        Evidence(c.id, c.section, "statistical", 0, 0.0, 1.0, getattr(c, "level", 0.0))
        for c in claims
    ]
    return sum(false_alarm_probability(evidence, asymptotic) for asymptotic in (False, True))


def test_a_false_alarm_in_the_whole_run_is_unlikely():
    assert 0 < budget(ALL) <= FALSE_ALARM_BUDGET
    assert budget([*ALL, UNLIKELY]) > FALSE_ALARM_BUDGET
