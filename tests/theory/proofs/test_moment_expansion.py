"""Expectations of polynomials, by hand."""

import sympy as sp

from theory.proofs.moment_expansion import moment_expansion


def test_moments_of_a_polynomial():
    f = sp.Symbol("f1", real=True)
    mean, square = sp.Symbol("E[f1]", real=True), sp.Symbol("E[f1**2]", real=True)
    assert moment_expansion((f + 2) ** 2, (f,), {}) == square + 4 * mean + 4
    assert moment_expansion((f + 2) ** 2, (f,), {f: sp.Integer(0)}) == square + 4
