"""The table of all statements: every family is in it, every id is its own, and no proof is empty."""

import ast
import importlib
import pkgutil
import random
from pathlib import Path

import pytest
import sympy as sp
from sympy.core.function import AppliedUndef

from theory import proofs
from theory.proofs import algebra, concentration, martingale, schedules, tower
from theory.proofs.algebra import f, g, impose_dynamics

SECTIONS = {
    "schedules": {"0", "2"},
    "martingale": {"1"},
    "concentration": {"2"},
    "calibration": {"4"},
    "likelihood": {"5"},
    "first_order": {"8"},
    "tower": {"9"},
    "fitted_solvers": {"11"},
}


def test_every_family_is_registered_in_its_sections():
    modules = [
        importlib.import_module(f"theory.proofs.{module.name}")
        for module in pkgutil.iter_modules(proofs.__path__)
    ]
    found = {
        module.__name__.rpartition(".")[2]: module.STATEMENTS
        for module in modules
        if hasattr(module, "STATEMENTS")
    }
    assert {name: {s.section for s in family} for name, family in found.items()} == SECTIONS
    listed = [s.id for name in SECTIONS for s in found[name]]
    assert [s.id for s in proofs.STATEMENTS] == listed


def test_what_a_proof_is_of_is_said():
    """In every family something is counted; what is written out is said to be of few dimensions."""
    known = {"", "any d", "d = 1", "d = 2", "d = 3", "d <= 2"}
    assert {s.holds_in for s in proofs.STATEMENTS} == known
    assert {s.section for s in proofs.STATEMENTS if not s.identity} == set().union(
        *SECTIONS.values()
    )


def test_statement_ids_are_unique():
    ids = [s.id for s in proofs.STATEMENTS]
    assert sorted(set(ids)) == sorted(ids)


OF_FEW = {
    "gaussian-solves": "d = 1", "gaussian-reverse": "d = 1", "gaussian-clock": "d = 1",
    "gaussian-increment": "d = 1", "gaussian-tilt": "d = 1", "stein": "d = 1",
    "martingale-1d": "d = 1", "clock-1d": "d = 1", "exponential-1d": "d = 1", "tower-4": "d = 1",
    "clock-2d": "d = 2", "exponential-2d": "d = 2", "tweedie-2d": "d = 2", "energy-2d": "d = 2",
    "tower-mixed-3": "d = 2", "martingale-3d": "d = 3", "translation": "d = 3",
    "shift-conservative": "d = 3", "mixture-hessian": "d <= 2",
    **{f"translation-order-{n}": "d <= 2" for n in (1, 2, 3, 4)},
}  # fmt: skip
OF_A_LINE = {
    "diffusion", "zero-mean", "best-exponent", "calibration-optimum", "guided-branches",
    "class-guided-mean", "edm-target", "shift-conservative", "gaussian-tilt", "noise-form",
    "known-target", "variance-optimal",
}  # fmt: skip


def test_nothing_is_claimed_of_more_dimensions_or_counted_that_should_not_be():
    assert {s.id: s.holds_in for s in proofs.STATEMENTS if s.holds_in[:1] == "d"} == OF_FEW
    assert {s.id for s in proofs.STATEMENTS if s.identity} == OF_A_LINE


SEVERAL = {
    "transition": 2, "gaussian-reverse": 2, "gaussian-increment": 2, "martingale-3d": 3,
    "best-exponent": 3, "mixture-hessian": 1 + 3 + 3, "range-of-means": 2,
    "calibration-optimum": 3, "shift-conservative": 3 + 3, "amortized-fall": 2,
    "cauchy-schwarz": 2, "stein": 2, "two-features": 2, "known-target": 2, "epsilon-scaling": 2,
    "variance-by-parts": 3, "variance-optimal": 2, "variance-of-bao": 2, "variance-between": 4,
    "tweedie": 2, "tweedie-2d": 2, "tower": 2, "tower-mixed-3": 4, "energy-2d": 3,
    "solver-orders": 2 + 3, **{f"translation-order-{n}": 1 + (n + 1) for n in (1, 2, 3, 4)},
}  # fmt: skip
"""How many equations a statement is, where it is not one: of entries, coordinates and orders."""


@pytest.fixture(scope="module")
def residuals():
    return {s.id: s.residuals() for s in proofs.STATEMENTS}


def test_a_statement_is_as_many_equations_as_it_says(residuals):
    assert {name: len(found) for name, found in residuals.items() if len(found) != 1} == SEVERAL


def order(expression):
    """The highest order of a derivative in space."""
    found = expression.doit().atoms(sp.Derivative)
    return max(sum(n for v, n in d.variable_count if v != algebra.t) for d in found)


def test_what_is_written_out_has_derivatives_of_its_order(residuals):
    """The generator adds two."""
    assert [order(r) for r in residuals["tower-4"]] == [4 + 2]
    assert [order(r) for r in residuals["tower-mixed-3"]] == [3 + 2] * 4


def differences_of_nothing(text):
    """Lines where a thing is taken from itself."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Sub)
        and ast.dump(node.left) == ast.dump(node.right)
    ]


def test_no_proof_compares_a_thing_with_itself():
    for path in sorted(Path(proofs.__file__).parent.glob("*.py")):
        assert differences_of_nothing(path.read_text()) == [], path.name
    assert differences_of_nothing("x = [a - b,\n f(c) - f(c)]") == [2]


def noisier(q, x):
    """The Fokker-Planck equation of twice the noise."""
    return sum(-sp.diff(f * xi * q, xi) + g**2 * sp.diff(q, xi, 2) for xi in x)


def noisier_generator(h, q, x):
    """The reverse generator with twice the Laplacian."""
    result = sp.diff(h, algebra.t)
    for xi in x:
        result += (f * xi - g**2 * sp.diff(q, xi) / q) * sp.diff(h, xi)
        result -= g**2 * sp.diff(h, xi, 2)
    return impose_dynamics(result, q, x)


def at_random(expression):
    """The value where functions, their derivatives and symbols are random numbers."""
    draws = random.Random(0)
    for found in (expression.atoms(sp.Derivative, AppliedUndef), expression.free_symbols):
        numbers = {p: sp.Rational(draws.randint(1, 99), 100) for p in sorted(found, key=str)}
        expression = expression.xreplace(numbers)
    return abs(sp.N(expression))


WRITTEN_OUT = {"martingale-1d", "martingale-3d", "tweedie-2d", "tower-4", "tower-mixed-3"}
EXPONENTIALS = {"exponential-1d", "exponential-2d"}


@pytest.mark.parametrize(
    ("name", "wrong", "falling"),
    [
        (
            "fokker_planck",
            noisier,
            WRITTEN_OUT
            | EXPONENTIALS
            | {"gaussian-solves", "ratio", "component", "translation", "energy", "energy-2d"},
        ),
        (
            "reverse_generator",
            noisier_generator,
            WRITTEN_OUT
            | EXPONENTIALS
            | {"ratio", "component", "clock", "clock-1d", "clock-2d", "exponential"},
        ),
    ],
)
def test_statements_of_the_dynamics_are_false_of_other_dynamics(monkeypatch, name, wrong, falling):
    for module in (algebra, concentration, martingale, schedules, tower):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, wrong)
    for statement in proofs.STATEMENTS:
        if statement.id in falling:
            assert all(at_random(r) > 1e-9 for r in statement.residuals()), statement.id
