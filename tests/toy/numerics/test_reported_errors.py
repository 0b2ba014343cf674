"""What the quadrature reports of its own error reaches the verdict, and is heard once."""

import pytest
import torch
from hypothesis import strategies as st

from toy.judge.claim import ExactClaim, Mutant
from toy.judge.verdicts import judge, report_lines
from toy.mixtures.mixture import GaussianMixture
from toy.numerics.quadrature import expectation
from toy.numerics.reported_errors import measure_error, remembered, report, reported

NORMAL = GaussianMixture.diagonal(torch.ones(1), torch.zeros(1, 1), torch.ones(1))


def peak_mean(rtol):
    width = 0.02
    return expectation(NORMAL, lambda x: width**2 / (width**2 + x**2), rtol=rtol)


def with_error(error, quadrature):
    def of(case):
        report(quadrature)
        return error

    return of


def test_an_expectation_reports_its_error_over_its_size():
    with reported() as errors:
        integral = peak_mean(1e-4)
    assert errors == [integral.error / integral.magnitude.max().item()]
    assert 0 < errors[0] <= 1e-4


def test_a_column_has_its_own_error():
    integral = expectation(NORMAL, lambda x: torch.cat([x**2, 1 / (1 + x**2)], 1))
    assert integral.errors.shape == (2,)
    assert integral.error == integral.errors.max()


def test_what_is_reported_inside_is_heard_there_only():
    with reported() as outer:
        report(1.0)
        with reported() as inner:
            report(2.0)
        report(3.0)
    assert (outer, inner) == ([1.0, 3.0], [2.0])


def test_a_measured_error_adds_up_what_is_reported():
    def error(case):
        report(0.25)
        report(0.5)
        return case

    measured = measure_error(error, 2.0)
    assert (measured.most, measured.least, measured.quadrature) == (2.75, 1.25, 0.75)


def test_what_is_remembered_reports_again():
    calls = []

    @remembered
    def value(case):
        calls.append(case)
        report(0.5)
        return case

    measured = [measure_error(value, 1.0) for _ in range(2)]
    assert calls == [1.0]
    assert [r.quadrature for r in measured] == [0.5, 0.5]


def verdict(error, quadrature, mutant_error, mutant_quadrature):
    mutant = Mutant("mutant", with_error(mutant_error, mutant_quadrature))
    claim = ExactClaim("c", "0", "s", st.just(0), with_error(error, quadrature), (mutant,))
    return judge(claim, 5, 0)


@pytest.mark.parametrize(
    ("error", "quadrature", "holds"), [(4e-9, 5e-9, True), (6e-9, 5e-9, False), (0.0, 2e-8, False)]
)
def test_a_claim_holds_only_with_the_error_of_its_quadrature(error, quadrature, holds):
    evidence = verdict(error, quadrature, 1.0, 0.0).evidence
    assert evidence.passed == holds
    assert evidence.worst == error + quadrature
    assert evidence.quadrature == quadrature


def test_a_mutant_is_caught_only_beyond_the_error_of_its_quadrature():
    assert verdict(0.0, 0.0, 1.0, 0.5).mutants[0].caught
    assert not verdict(0.0, 0.0, 1.0, 1.0).mutants[0].caught


def test_the_table_shows_the_error_of_the_quadrature():
    assert "(quadrature 5.0e-09)" in next(iter(report_lines(verdict(4e-9, 5e-9, 1.0, 0.0))))
    assert "quadrature" not in next(iter(report_lines(verdict(4e-9, 0.0, 1.0, 0.0))))
