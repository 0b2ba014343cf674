"""Expectations of polynomials under any law that has moments.

An expectation is written in the moments of monomials, each a symbol of its own such as E[x*y**2].
"""

from collections.abc import Mapping

import sympy as sp


def moment_expansion(
    expression: sp.Expr, variables: tuple[sp.Symbol, ...], known: Mapping[sp.Expr, sp.Expr]
) -> sp.Expr:
    """The expectation of a polynomial in random variables, in the moments of their monomials.

    Args:
        expression: the polynomial; all other symbols are constants.
        variables: the random variables.
        known: moments that are known, by monomial.
    """
    polynomial = sp.Poly(sp.expand(expression), *variables)
    result = sp.Integer(0)
    for powers, coefficient in polynomial.terms():
        monomial = sp.prod([v**n for v, n in zip(variables, powers, strict=True)])
        unknown = sp.Symbol(f"E[{monomial}]", real=True) if monomial != 1 else sp.Integer(1)
        result += coefficient * known.get(monomial, unknown)
    return result
