"""Proofs by computer algebra: the tools that the statements share.

Each statement returns residuals that must simplify to zero. The density q(x, t), the schedule
functions and the model are arbitrary sympy functions. The only facts used of them are the
Fokker-Planck equation dq/dt = -div(f x q) + (g^2/2) Laplacian q, and alpha' = f alpha. A function
h(x, t) is a martingale of the exact reverse SDE dx = (f x - g^2 grad log q) dt + g dw-bar if its
reverse generator vanishes:

    (d/dt + (f x - g^2 grad log q).grad - (g^2/2) Laplacian) h = 0.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sympy as sp

t = sp.Symbol("t", real=True)
f, g, alpha = (sp.Function(name, real=True)(t) for name in ("f", "g", "alpha"))

Point = tuple[sp.Symbol, ...]
"""Space coordinates (x1, ..., xd)."""

Vector = Sequence[sp.Expr]
"""A vector, or a vector field, by its d entries."""


@dataclass(frozen=True)
class Statement:
    """A statement to prove.

    Attributes:
        id: unique among all statements.
        section: of the theory.
        says: the statement in one line.
        residuals: expressions that are zero if the statement is true.
    """

    id: str
    section: str
    says: str
    residuals: Callable[[], list[sp.Expr]]


@dataclass(frozen=True)
class Proof:
    """The outcome for a statement of this id and section; ``residual`` is "0" if it is proved."""

    id: str
    section: str
    says: str
    residual: str
    proved: bool
    seconds: float


def coordinates(dimension: int) -> Point:
    """Space coordinates x1 ... xd."""
    return sp.symbols(f"x1:{dimension + 1}", real=True)


def density(x: Point, name: str = "q") -> sp.Expr:
    """An arbitrary positive density q(x, t)."""
    return sp.Function(name, positive=True)(*x, t)


def gradient(h: sp.Expr, x: Point) -> Vector:
    """grad h."""
    return [sp.diff(h, xi) for xi in x]


def divergence(field: Vector, x: Point) -> sp.Expr:
    """div v = sum_i dv_i/dx_i of a vector field v."""
    return sum(sp.diff(vi, xi) for vi, xi in zip(field, x, strict=True))


def inner_product(one: Vector, other: Vector) -> sp.Expr:
    """sum_i a_i b_i."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def fokker_planck(q: sp.Expr, x: Point) -> sp.Expr:
    """dq/dt = -sum_i d(f x_i q)/dx_i + (g^2/2) sum_i d^2 q/dx_i^2."""
    return sum(-sp.diff(f * xi * q, xi) + g**2 / 2 * sp.diff(q, xi, 2) for xi in x)


def impose_dynamics(expression: sp.Expr, q: sp.Expr, x: Point) -> sp.Expr:
    """Replace the time derivatives of q by Fokker-Planck's right-hand side, and alpha' by f alpha."""
    right = fokker_planck(q, x)

    def mixed(derivative: sp.Derivative) -> sp.Expr:
        """A derivative of q in t, and perhaps in space, by the equation."""
        space = [(v, n) for v, n in derivative.variable_count if v != t]
        return sp.diff(right, *space) if space else right

    expression = expression.doit().replace(
        lambda e: isinstance(e, sp.Derivative) and e.expr == q and (t, 1) in e.variable_count, mixed
    )
    return expression.subs(sp.diff(alpha, t), f * alpha).doit()


def reverse_generator(h: sp.Expr, q: sp.Expr, x: Point) -> sp.Expr:
    """(d/dt + (f x - g^2 grad log q).grad - (g^2/2) Laplacian) h, dynamics imposed."""
    result = sp.diff(h, t)
    for xi in x:
        result += (f * xi - g**2 * sp.diff(q, xi) / q) * sp.diff(h, xi)
        result -= g**2 / 2 * sp.diff(h, xi, 2)
    return impose_dynamics(result, q, x)


def prove(statement: Statement) -> Proof:
    """Simplify the statement's residuals; it is proved if all of them become zero."""
    start = time.perf_counter()
    left = [r for r in (sp.simplify(sp.expand(r)) for r in statement.residuals()) if r != 0]
    return Proof(
        statement.id, statement.section, statement.says,
        "; ".join(map(str, left)) or "0", not left, time.perf_counter() - start,
    )  # fmt: skip
