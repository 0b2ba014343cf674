"""Computer-algebra proofs: the machinery; the statements are in ``theory.proofs``.

Each statement returns residuals that must simplify to zero. The density q(x, t), the schedule
functions and the model are arbitrary sympy functions; what is
used of them is the Fokker-Planck equation dq/dt = -div(f x q) + (g^2/2) Laplacian q, and
alpha' = f alpha. A function h(x, t) is a martingale of the exact reverse SDE
dx = (f x - g^2 grad log q) dt + g dw-bar when its reverse generator vanishes:

    (d/dt + (f x - g^2 grad log q).grad - (g^2/2) Laplacian) h = 0.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import sympy as sp

t = sp.Symbol("t", real=True)
f, g, alpha = (sp.Function(name, real=True)(t) for name in ("f", "g", "alpha"))


@dataclass(frozen=True)
class Statement:
    """A statement to prove: its id, the section of the theory, what it says, and its residuals."""

    id: str
    section: str
    says: str
    residuals: Callable[[], list[sp.Expr]]


@dataclass(frozen=True)
class Proof:
    """The outcome: ``residual`` is "0" when it is proved."""

    id: str
    section: str
    says: str
    residual: str
    proved: bool
    seconds: float


def coordinates(dimension: int) -> tuple[sp.Symbol, ...]:
    """Space coordinates x1 ... xd."""
    return sp.symbols(f"x1:{dimension + 1}", real=True)


def density(x: tuple[sp.Symbol, ...], name: str = "q") -> sp.Expr:
    """An arbitrary positive density q(x, t)."""
    return sp.Function(name, positive=True)(*x, t)


def fokker_planck(q: sp.Expr, x: tuple[sp.Symbol, ...]) -> sp.Expr:
    """dq/dt = -sum_i d(f x_i q)/dx_i + (g^2/2) sum_i d^2 q/dx_i^2."""
    return sum(-sp.diff(f * xi * q, xi) + g**2 / 2 * sp.diff(q, xi, 2) for xi in x)


def impose_dynamics(expression: sp.Expr, q: sp.Expr, x: tuple[sp.Symbol, ...]) -> sp.Expr:
    """Replace every time derivative of q by Fokker-Planck's right-hand side, and alpha' by f alpha."""
    right = fokker_planck(q, x)

    def mixed(derivative: sp.Derivative) -> sp.Expr:
        space = [(v, n) for v, n in derivative.variable_count if v != t]
        return sp.diff(right, *space) if space else right

    expression = expression.doit().replace(
        lambda e: isinstance(e, sp.Derivative) and e.expr == q and (t, 1) in e.variable_count, mixed
    )
    return expression.subs(sp.diff(alpha, t), f * alpha).doit()


def reverse_generator(h: sp.Expr, q: sp.Expr, x: tuple[sp.Symbol, ...]) -> sp.Expr:
    """(d/dt + (f x - g^2 grad log q).grad - (g^2/2) Laplacian) h, dynamics imposed."""
    result = sp.diff(h, t)
    for xi in x:
        result += (f * xi - g**2 * sp.diff(q, xi) / q) * sp.diff(h, xi)
        result -= g**2 / 2 * sp.diff(h, xi, 2)
    return impose_dynamics(result, q, x)


def prove(statement: Statement) -> Proof:
    """Simplify the statement's residuals; it is proved when every one is zero."""
    start = time.perf_counter()
    left = [r for r in (sp.simplify(sp.expand(r)) for r in statement.residuals()) if r != 0]
    return Proof(
        statement.id, statement.section, statement.says,
        "; ".join(map(str, left)) or "0", not left, time.perf_counter() - start,
    )  # fmt: skip
