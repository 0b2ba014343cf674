"""Proofs by computer algebra: the tools that the statements share.

Each statement returns residuals that must simplify to zero. The density q(x, t), the schedule
functions and the model are arbitrary sympy functions. The only facts used of them are the
Fokker-Planck equation dq/dt = -div(f x q) + (g^2/2) Laplacian q, and alpha' = f alpha. A function
h(x, t) is a martingale of the exact reverse SDE dx = (f x - g^2 grad log q) dt + g dw-bar if its
reverse generator vanishes:

    (d/dt + (f x - g^2 grad log q).grad - (g^2/2) Laplacian) h = 0.

Every dimension at once. With the time derivatives replaced, what must vanish is a sum over the
coordinates, and the term of coordinate i has derivatives along x_i only, while all functions depend on
the other coordinates as well. So it is enough that this one term vanishes: ``at_one_coordinate`` gives
x_i, and functions of x_i and of one more coordinate, which stands for all others.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sympy as sp

t = sp.Symbol("t", real=True)
f, g, alpha = (sp.Function(name, real=True)(t) for name in ("f", "g", "alpha"))

ANY = "any d"
"""What is proved for one coordinate, with functions of all of them, or for scalars."""

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
        holds_in: the dimensions that the proof is of; empty where none is spoken of.
        identity: whether it is a line of algebra that other statements use, and is not counted.
    """

    id: str
    section: str
    says: str
    residuals: Callable[[], list[sp.Expr]]
    holds_in: str = ""
    identity: bool = False


@dataclass(frozen=True)
class Proof:
    """The outcome for a statement; ``residual`` is "0" if it is proved."""

    id: str
    section: str
    says: str
    holds_in: str
    identity: bool
    residual: str
    proved: bool
    seconds: float


def coordinates(dimension: int) -> Point:
    """Space coordinates x1 ... xd."""
    return sp.symbols(f"x1:{dimension + 1}", real=True)


def at_one_coordinate() -> tuple[Point, Point]:
    """(x_i,), along which derivatives are taken, and (x_i, x_j), on which all functions depend."""
    whole = coordinates(2)
    return whole[:1], whole


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
        statement.id, statement.section, statement.says, statement.holds_in, statement.identity,
        "; ".join(map(str, left)) or "0", not left, time.perf_counter() - start,
    )  # fmt: skip
