"""What a claim is: it is upheld, falls, is left open, and catches its mutants."""

import math
from dataclasses import replace

import pytest
from hypothesis import strategies as st

from toy.judge import claim as judging
from toy.judge.claim import (
    EXACT_TOLERANCE,
    LEVEL,
    ExactClaim,
    Mutant,
    StatisticalClaim,
    Trial,
    exact_claim,
    statistical_claim,
)
from toy.judge.evidence import Evidence, false_alarm_probability
from toy.judge.verdicts import (
    OPEN,
    MutantVerdict,
    NotTried,
    Verdict,
    as_json,
    falls,
    report_lines,
    stands,
    summary_line,
    verify,
)
from toy.numerics.reported_errors import UnresolvedError, report

EXAMPLES, SEED = 40, 0


def test_the_evidence_of_a_run_carries_the_levels_of_its_claims():
    one, other = statistical(0.5), replace(statistical(0.25), level=1e-7)
    evidence = [claim.uphold(EXAMPLES, SEED) for claim in (one, other, exact(below(1001)))]
    assert false_alarm_probability(evidence) == pytest.approx(1e-5 + 1e-7, rel=1e-12)
    unproven = replace(statistical(0.5), level=1e-6, asymptotic=True).uphold(EXAMPLES, SEED)
    assert false_alarm_probability([*evidence, unproven]) == pytest.approx(1.01e-5, rel=1e-12)
    assert false_alarm_probability([*evidence, unproven], asymptotic=True) == 1e-6


def below(limit):
    """The error of a claim that holds for whole numbers below the limit."""
    return lambda n: 0.0 if n < limit else 1.0 + n


def exact(error, *mutants):
    return ExactClaim("claim", "0", "says", st.integers(0, 1000), error, mutants)


def statistical(deviation, *mutants):
    return StatisticalClaim(
        "chance", "0", "says", lambda seed: Trial(deviation, 7), mutants, level=1e-5
    )


def unresolved(case):
    raise UnresolvedError("quadrature: no")


def test_a_claim_that_holds_is_upheld():
    evidence = exact(below(1001)).uphold(200, SEED)
    assert evidence.passed
    assert (evidence.worst, evidence.counterexample) == (0.0, "")
    assert evidence.examples >= 200


def test_a_broken_claim_falls_with_the_smallest_counterexample():
    evidence = exact(below(10)).uphold(200, SEED)
    assert not evidence.passed
    assert (evidence.worst, evidence.counterexample) == (11.0, "10")


def case_of(caught):
    """The case that caught a mutant."""
    case, _, error = caught.partition(", error ")
    assert float(error) == pytest.approx(1 + int(case), rel=0.01)
    return int(case)


def test_a_caught_mutant_comes_with_a_counterexample():
    claim = exact(below(1001))
    assert case_of(claim.catch(Mutant("mutant", below(10)), 200, SEED)) >= 10
    assert claim.catch(Mutant("always", below(0)), 200, SEED) == "0, error 1"


def test_a_mutant_that_rarely_fails_is_looked_for_among_all_cases():
    claim = exact(below(1001))
    rare = Mutant("rare", lambda n: 1.0 + n if n % 50 == 7 else 0.0)
    assert all(n % 50 != 7 for n in claim.tried(10, SEED).held)
    assert case_of(claim.catch(rare, 10, SEED)) % 50 == 7


def test_more_cases_are_drawn_for_a_mutant_with_the_seed_of_the_run(monkeypatch):
    asked = []

    def drawn(strategy, count, seed):
        asked.append((count, seed))
        return []

    monkeypatch.setattr(judging, "_drawn", drawn)
    claim = replace(exact(below(1001)), share=0.1)
    for examples, seed in ((20, 3), (400, 4)):
        assert claim.catch(Mutant("none", below(1001)), examples, seed) is None
    assert asked == [(judging.SEARCHED, 3), (400, 4)]
    monkeypatch.undo()
    first, other = (judging._drawn(st.integers(0, 10**6), 30, seed) for seed in (1, 2))
    assert len(first) == len(other) == 30 and first != other


def test_a_mutant_that_is_the_claim_survives():
    claim = exact(below(1001))
    assert claim.catch(Mutant("same", claim.error), 200, SEED) is None
    falling = exact(below(10))
    assert falling.catch(Mutant("same", falling.error), 200, SEED) is None
    chance = statistical(0.5)
    assert chance.catch(Mutant("same", chance.trial), 200, SEED) is None


def test_a_claim_may_try_a_share_of_the_cases():
    assert replace(exact(below(6000)), share=0.25).uphold(100, SEED).examples == 25


def seldom(n):
    """An error on one case that no strategy below a thousand makes."""
    return 1.0 if n == 5000 else 0.0


def test_what_is_always_tried_is_tried_at_every_seed():
    claim = replace(exact(below(6000)), always=(5000,))
    assert claim.uphold(10, SEED).examples > 10
    assert claim.catch(Mutant("seldom", seldom), 10, SEED) == "5000, error 1"
    assert case_of(claim.catch(Mutant("often", below(10)), 200, SEED)) < 5000
    assert exact(below(6000)).catch(Mutant("seldom", seldom), 10, SEED) is None


def test_a_claim_falls_on_what_is_always_tried():
    evidence = replace(exact(seldom), always=(4, 5000)).uphold(10, SEED)
    assert (evidence.passed, evidence.counterexample, evidence.examples) == (False, "5000", 2)


def test_a_mutant_is_caught_only_where_the_claim_holds():
    falling = exact(below(10))
    assert 5 <= case_of(falling.catch(Mutant("mutant", below(5)), 200, SEED)) < 10
    assert falling.catch(Mutant("mutant", below(20)), 200, SEED) is None


def test_what_is_not_resolved_never_speaks_for_a_claim():
    evidence = exact(unresolved).uphold(10, SEED)
    assert not evidence.passed
    assert evidence.worst == math.inf
    assert (evidence.open, evidence.unresolved, evidence.counterexample) == (True, 10, "")
    assert exact(unresolved).catch(Mutant("mutant", below(0)), 10, SEED) is None


def resolved_below(limit):
    def error(n):
        return 0.0 if n < limit else unresolved(n)

    return error


def test_a_claim_is_left_open_unless_enough_is_resolved():
    claim = exact(resolved_below(900))
    whole, half = claim.uphold(200, SEED), replace(claim, to_resolve=0.5).uphold(200, SEED)
    assert (whole.open, whole.passed, whole.counterexample) == (True, False, "")
    assert (half.open, half.passed) == (False, True)
    assert 0 < half.unresolved < 100
    assert replace(exact(resolved_below(0)), to_resolve=0.0).uphold(20, SEED).open


def test_a_claim_that_is_not_left_open_is_not_counted_among_those_not_resolved():
    some_open = replace(exact(resolved_below(900)), to_resolve=0.5)
    (verdict,) = verify([some_open], 200, SEED)
    assert verdict.evidence.unresolved > 0
    assert "not resolved" not in summary_line([verdict])
    (left_open,) = verify([exact(resolved_below(900))], 200, SEED)
    assert ", 1 not resolved" in summary_line([verdict, left_open])


def test_what_falls_is_not_left_open():
    claim = exact(lambda n: unresolved(n) if n % 2 else below(10)(n))
    evidence = claim.uphold(200, SEED)
    assert (evidence.open, evidence.passed, evidence.counterexample) == (False, False, "10")


def test_a_run_with_an_open_claim_neither_stands_nor_falls():
    left_open, fallen = exact(resolved_below(900)), exact(below(10))
    verdicts = list(verify([left_open], 100, SEED))
    assert (stands(verdicts), falls(verdicts)) == (False, False)
    assert falls([*verdicts, *verify([fallen], 100, SEED)])
    assert any(
        line.startswith("OPEN") and "not resolved" in line for line in report_lines(verdicts[0])
    )


def test_what_is_not_resolved_never_catches_a_mutant():
    claim = exact(below(1001))
    assert claim.catch(Mutant("unresolved", unresolved), 50, SEED) is None
    assert claim.catch(Mutant("resolved", below(0)), 50, SEED) == "0, error 1"


@pytest.mark.parametrize(
    "wrong", [lambda n: math.nan, lambda n: 1 / 0, lambda n: [][n], lambda n: math.sqrt(-1 - n)]
)
def test_a_mutant_that_fails_or_gives_no_number_is_not_caught(wrong):
    assert exact(below(1001)).catch(Mutant("m", wrong), 50, SEED) is None
    fails = Mutant("m", lambda seed: Trial(wrong(seed), 1))
    assert statistical(0.5).catch(fails, 50, SEED) is None


def test_other_errors_are_not_hidden():
    with pytest.raises(ZeroDivisionError):
        exact(lambda n: 1 / (n * 0.0)).uphold(10, SEED)


def test_an_error_that_is_not_a_number_does_not_pass():
    assert not exact(lambda n: math.nan).uphold(10, SEED).passed
    assert not statistical(math.nan).uphold(10, SEED).passed
    assert Evidence("claim", "0", "exact", 1, 0.5, 0.5).passed


@pytest.mark.parametrize(("deviation", "holds"), [(0.0, True), (1.0, True), (1.01, False)])
def test_a_statistical_claim_stands_within_its_threshold(deviation, holds):
    evidence = statistical(deviation).uphold(EXAMPLES, SEED)
    assert evidence.passed == holds
    assert (evidence.level, evidence.examples, evidence.kind) == (1e-5, 7, "statistical")
    caught = statistical(0.0).catch(Mutant("mutant", lambda seed: Trial(deviation, 7)), 1, SEED)
    assert (caught is None) == holds


def test_a_statistical_trial_gets_the_seed_of_the_run():
    seeds = []

    def trial(seed):
        seeds.append(seed)
        return Trial(float(seed), 1)

    claim = replace(statistical(0.0, Mutant("mutant", trial)), trial=trial)
    claim.uphold(EXAMPLES, 3)
    assert claim.catch(claim.mutants[0], EXAMPLES, 4) is not None
    assert seeds == [3, 4]


def cases_tried(seed):
    tried = []

    def error(n):
        tried.append(n)
        return 0.0

    exact(error).uphold(30, seed)
    return tried


def test_the_cases_depend_on_the_seed_only():
    assert cases_tried(1) == cases_tried(1)
    assert cases_tried(1) != cases_tried(2)


def test_the_evidence_has_a_digest_of_the_cases():
    held, left_open, fallen = exact(below(1001)), exact(unresolved), exact(below(10))
    digest = held.uphold(30, 1).cases
    assert len(digest) == 16
    assert digest == held.uphold(30, 1).cases == left_open.uphold(30, 1).cases
    others = [held.uphold(30, 2), held.uphold(31, 1), fallen.uphold(30, 1)]
    others.append(replace(held, always=(4,)).uphold(30, 1))
    assert len({digest, *(evidence.cases for evidence in others)}) == 5
    assert statistical(0.5).uphold(30, 1).cases == ""


def test_the_digest_of_objects_without_a_text_is_the_same_everywhere():
    class Named:
        """A case that says where it lies in memory."""

    several = [ExactClaim("claim", "0", "", st.builds(Named), below_all, ()) for _ in range(2)]
    kept = [Named() for _ in range(100)]
    assert len({claim.uphold(20, 0).cases for claim in several}) == 1
    assert len({repr(case) for case in kept}) == 100


def below_all(case):
    """The error of a claim that always holds."""
    return 0.0


FALLS = exact(below(10), Mutant("mutant", below(5)))
HOLDS = exact(below(1001), Mutant("mutant", below(5)))
SURVIVED = exact(below(1001), Mutant("same", below(1001)))


@pytest.mark.parametrize(
    ("claims", "stand"), [([HOLDS], True), ([HOLDS, FALLS], False), ([HOLDS, SURVIVED], False)]
)
def test_a_run_stands_when_claims_hold_and_mutants_are_caught(claims, stand):
    assert stands(list(verify(claims, EXAMPLES, SEED))) == stand


def test_the_last_line_counts_what_holds_what_is_left_open_and_what_is_caught():
    claims = HOLDS, FALLS, SURVIVED, exact(resolved_below(900)), statistical(2.0)
    line = summary_line(list(verify(claims, 200, SEED)))
    assert line.startswith("2 of 5 claims hold, 1 not resolved, 2 of 3 mutants caught; ")


def within(n, limit=1001):
    """The error of ``below``, with its limit as an argument."""
    return below(limit)(n)


def test_mutants_are_made_of_wrong_arguments_and_of_other_checks():
    claim = exact_claim(
        "claim", "0", "says", st.integers(0, 1000), within, share=0.5,
        limit={"five": 5, "same": 1001}, instead={"ten": below(10)},
    )  # fmt: skip
    assert [m.id for m in claim.mutants] == ["five", "same", "ten"]
    five, same, ten = (claim.catch(m, 200, SEED) for m in claim.mutants)
    assert (case_of(five) >= 5, same, case_of(ten) >= 10) == (True, None, True)
    assert claim.uphold(100, SEED).examples == 50


def test_a_claim_keeps_what_it_is_made_with():
    made = exact_claim("id", "3", "says", st.just(1), within, always=(5000,), share=0.5)
    assert (made.id, made.section, made.says) == ("id", "3", "says")
    assert (made.always, made.share, made.mutants) == ((5000,), 0.5, ())
    assert made.uphold(1, SEED).counterexample == "5000"
    chance = statistical_claim("id", "3", "says", lambda seed: Trial(0.5, 7), asymptotic=True)
    evidence = chance.uphold(1, SEED)
    assert (evidence.claim, evidence.section, evidence.kind) == ("id", "3", "statistical")
    assert (evidence.level, evidence.asymptotic) == (LEVEL, True)


def test_statistical_mutants_are_made_of_wrong_arguments():
    def trial(seed, deviation=0.5):
        return Trial(deviation, seed)

    claim = statistical_claim("chance", "0", "says", trial, deviation={"two": 2.0})
    assert claim.uphold(EXAMPLES, 3).passed
    assert claim.catch(claim.mutants[0], EXAMPLES, 3).startswith("seed 3, n = 3: deviation 2")


def with_quadrature(deviation, quadrature):
    """An error of which the quadrature reports so much of its own."""

    def error(n):
        report(quadrature)
        return deviation

    return error


def test_the_quadratures_own_error_counts_against_claim_and_mutant():
    half = 0.6 * EXACT_TOLERANCE
    assert exact(with_quadrature(half, 0.0)).uphold(10, SEED).passed
    fallen = exact(with_quadrature(half, half)).uphold(10, SEED)
    assert not fallen.passed and fallen.counterexample
    claim = exact(below(1001))
    assert claim.catch(Mutant("clear", with_quadrature(3 * half, half)), 20, SEED)
    assert claim.catch(Mutant("not clear", with_quadrature(2 * half, half)), 20, SEED) is None


def test_the_largest_error_of_the_quadrature_is_told():
    """Not of the first case, nor of the last."""
    reported = []

    def error(n):
        reported.append(n * 1e-13)
        report(reported[-1])
        return 0.0

    evidence = exact(error).uphold(20, SEED)
    assert evidence.quadrature == max(reported) not in (reported[0], reported[-1])
    (line,) = report_lines(Verdict("says", evidence, ()))
    assert f"(quadrature {max(reported):.1e})" in line


def test_one_case_without_a_number_is_a_counterexample():
    evidence = exact(lambda n: math.nan if n >= 10 else 0.0).uphold(200, SEED)
    assert not evidence.passed
    assert evidence.counterexample == "10"


def test_a_case_counts_only_if_the_claim_holds_there():
    """The mutant fails from 5 on, but the claim itself below 100."""
    claim = exact(lambda n: 1.0 if n < 100 else 0.0)
    found = claim.catch(Mutant("mutant", below(5)), 200, SEED)
    assert int(found.partition(",")[0]) >= 100


def test_cases_without_a_number_are_not_counted_as_tried():
    evidence = Evidence("claim", "0", "exact", 10, 1e-9, 1e-8, unresolved=3)
    (line,) = report_lines(Verdict("says", evidence, ()))
    assert line.endswith("says; worst 1.0e-09 of 1e-08 in 7 cases, 3 not resolved")


CHANCE = Evidence("chance", "7", "statistical", 50, 0.5, 1.0, 1e-8, asymptotic=True)
EXACT = Evidence("exact", "3", "exact", 10, 1e-9, 1e-8, quadrature=2e-10)


@pytest.mark.parametrize(
    ("evidence", "word", "measured"),
    [
        (CHANCE, "holds", "deviation 0.50 of its threshold at asymptotic level 1e-08, n = 50"),
        (
            replace(CHANCE, asymptotic=False, worst=2.0),
            "FALLS", "deviation 2.00 of its threshold at level 1e-08, n = 50",
        ),
        (EXACT, "holds", "worst 1.0e-09 of 1e-08 (quadrature 2.0e-10) in 10 cases"),
        (
            replace(EXACT, unresolved=2, quadrature=0.0),
            "holds", "worst 1.0e-09 of 1e-08 in 8 cases, 2 not resolved",
        ),
        (
            replace(EXACT, unresolved=10, open=True, worst=math.inf),
            "OPEN", "none of 10 cases could be resolved",
        ),
    ],
)  # fmt: skip
def test_a_line_says_whether_a_claim_holds_and_how_it_was_measured(evidence, word, measured):
    line, *more = report_lines(Verdict("as it says", evidence, ()))
    assert line == f"{word:6} §{evidence.section}  {evidence.claim:16} as it says; {measured}"
    assert more == ([f"          {OPEN}"] if evidence.open else [])


def test_a_verdict_is_of_its_claim_and_each_of_its_mutants():
    claim = exact(below(1001), Mutant("often", below(10)), Mutant("none", below(1001)))
    (verdict,) = verify([claim], EXAMPLES, SEED)
    assert (verdict.says, verdict.evidence) == ("says", claim.uphold(EXAMPLES, SEED))
    caught = claim.catch(claim.mutants[0], EXAMPLES, SEED)
    assert caught is not None
    assert verdict.mutants == (
        MutantVerdict("often", "claim", caught),
        MutantVerdict("none", "claim", None),
    )


def test_plain_data_has_what_was_tried_and_said_and_what_was_not():
    mutants = MutantVerdict("caught", "exact", "7"), MutantVerdict("left", "exact", None)
    found = as_json(
        [Verdict("as it says", EXACT, mutants), Verdict("by chance", CHANCE, ())],
        [NotTried(3, "of this", or_more=True), NotTried(1, "of that")],
    )
    exact_one, chance = found["claims"]
    assert (exact_one["id"], exact_one["says"], exact_one["passed"]) == (
        "exact",
        "as it says",
        True,
    )
    assert exact_one == {"id": "exact", "says": "as it says", "passed": True} | {
        key: value for key, value in vars(EXACT).items() if key != "claim"
    }
    assert (chance["id"], chance["says"], chance["level"]) == ("chance", "by chance", 1e-8)
    assert found["mutants"] == [
        {"id": "caught", "claim": "exact", "counterexample": "7", "caught": True},
        {"id": "left", "claim": "exact", "counterexample": None, "caught": False},
    ]
    assert found["not_tried"] == [
        {"count": 3, "why": "of this", "or_more": True},
        {"count": 1, "why": "of that", "or_more": False},
    ]
    assert found["false_alarm_probability"] == 0
    assert found["asymptotic_false_alarm_probability"] == 1e-8


def test_the_last_line_adds_up_proven_and_asymptotic_levels_apart():
    proven, unproven = statistical(0.5), replace(statistical(0.5), level=1e-6, asymptotic=True)

    def said(*claims):
        return summary_line(list(verify(claims, EXAMPLES, SEED))).partition("run: ")[2]

    assert said(exact(below(1001))) == "none, as every claim is exact"
    assert said(proven) == "at most 1e-05"
    both = "at most 1e-05, and 1e-06 of claims whose level is asymptotic"
    assert said(proven, unproven) == both
