"""The facts behind the tail bounds: exponential martingale, its clock, Hessian, range of means."""

from functools import partial

import sympy as sp

from theory.proofs.algebra import (
    ANY,
    Point,
    Statement,
    alpha,
    at_one_coordinate,
    coordinates,
    density,
    g,
    gradient,
    inner_product,
    reverse_generator,
    t,
)


def _along(q: sp.Expr, x: Point) -> tuple[sp.Expr, sp.Expr]:
    """u.M of M = alpha grad log q, and the rate alpha^2 g^2 |Hess(log q) u|^2 of its clock."""
    u = sp.symbols(f"u1:{len(x) + 1}", real=True)
    logarithm = sp.log(q)
    process = alpha * inner_product(u, gradient(logarithm, x))
    pushed = (sp.Matrix(sp.hessian(logarithm, x)) * sp.Matrix(u)).T
    return process, alpha**2 * g**2 * sum(entry**2 for entry in pushed)


def quadratic_variation(dimension: int) -> list[sp.Expr]:
    """d<u.M> = alpha^2 g^2 |Hess(log q) u|^2 dt: the carre du champ of u.M, for any q.

    With G the reverse generator, whose negative drives the process as t falls, it is
    2 h G h - G(h^2).
    """
    x = coordinates(dimension)
    q = density(x)
    h, rate = _along(q, x)
    carre_du_champ = 2 * h * reverse_generator(h, q, x) - reverse_generator(h**2, q, x)
    return [carre_du_champ - rate]


def carre_du_champ(power: int = 2) -> list[sp.Expr]:
    """2 h G h - G(h^2) = g^power |grad h|^2 for every h: the clock of any process h(x_t, t).

    Of u.M it is alpha^2 g^2 |Hess(log q) u|^2, as grad(u.M) = alpha Hess(log q) u.
    """
    own, x = at_one_coordinate()
    q, h = density(x), sp.Function("h", real=True)(*x, t)
    found = 2 * h * reverse_generator(h, q, own) - reverse_generator(h**2, q, own)
    return [found - g**power * sp.diff(h, own[0]) ** 2]


def exponential_of_any(power: int = 2) -> list[sp.Expr]:
    """G exp(a h) = exp(a h) (a G h - a^power g^2 |grad h|^2/2) for every h.

    So exp(a h - a^2 <h>/2) is a local martingale where h is one, as u.M is.
    """
    own, x = at_one_coordinate()
    q, h, a = density(x), sp.Function("h", real=True)(*x, t), sp.Symbol("a", real=True)
    left = reverse_generator(sp.exp(a * h), q, own) / sp.exp(a * h)
    slope = sp.diff(h, own[0])
    return [left - a * reverse_generator(h, q, own) + a**power * g**2 / 2 * slope**2]


def exponential_martingale(dimension: int) -> list[sp.Expr]:
    """h = exp(a u.M - a^2 c/2) is a local martingale where c = <u.M> is one more coordinate.

    c grows by alpha^2 g^2 |Hess(log q) u|^2 dt as t falls, so that (G - rate d/dc) h = 0; the
    residual is that over h.
    """
    x = coordinates(dimension)
    q = density(x)
    a, c = sp.symbols("a c", real=True)
    process, rate = _along(q, x)
    h = sp.exp(a * process - a**2 / 2 * c)
    return [(reverse_generator(h, q, x) - rate * sp.diff(h, c)) / h]


def best_exponent() -> list[sp.Expr]:
    """exp(-a eps + a^2 V/2) is least at a = eps/V, where it is exp(-eps^2/(2 V))."""
    a, eps, v = sp.symbols("a epsilon V", positive=True)
    exponent = -a * eps + a**2 * v / 2
    best = sp.solve(sp.diff(exponent, a), a)[0]
    return [best - eps / v, exponent.subs(a, best) + eps**2 / (2 * v), sp.diff(exponent, a, 2) - v]


def mixture_hessian(dimension: int, count: int) -> list[sp.Expr]:
    """Hess log q = -I/c + (alpha^2/c^2) Cov(mu|x) for q = sum_k w_k N(alpha mu_k, c I).

    Both sides times q^2, which makes them polynomials in the components.
    """
    x = coordinates(dimension)
    a, c = sp.symbols("alpha c", positive=True)
    weights = sp.symbols(f"w1:{count + 1}", positive=True)
    means = [sp.symbols(f"mu{k}_1:{dimension + 1}", real=True) for k in range(1, count + 1)]
    parts = [
        w * sp.exp(-sum((xi - a * mi) ** 2 for xi, mi in zip(x, mean, strict=True)) / (2 * c))
        for w, mean in zip(weights, means, strict=True)
    ]
    q = sp.Add(*parts)

    def entry(i: int, j: int) -> sp.Expr:
        """q^2 times the entry (i, j) of the difference."""
        first_i, first_j, second = (
            sum(part * value(mean) for part, mean in zip(parts, means, strict=True))
            for value in (lambda m: m[i], lambda m: m[j], lambda m: m[i] * m[j])
        )
        hessian = q * sp.diff(q, x[i], x[j]) - sp.diff(q, x[i]) * sp.diff(q, x[j])
        covariance = q * second - first_i * first_j
        return hessian + sp.KroneckerDelta(i, j) * q**2 / c - a**2 / c**2 * covariance

    return [entry(i, j) for i in range(dimension) for j in range(i + 1)]


def range_of_means(count: int) -> list[sp.Expr]:
    """0 <= Var m <= D^2/4 for numbers m_k between l and l + D, of any weights P_k.

    Var = sum_{j<k} P_j P_k (m_j - m_k)^2, and D^2/4 - Var = sum_k P_k (l + D - m_k)(m_k - l)
    + (l + D/2 - E m)^2 (Popoviciu).
    """
    p, m = sp.symbols(f"P1:{count + 1}", positive=True), sp.symbols(f"m1:{count + 1}", real=True)
    low, width = sp.symbols("l D", real=True)
    pairs = list(zip(p, m, strict=True))
    one = {p[-1]: 1 - sum(p[:-1])}
    mean = sum(pk * mk for pk, mk in pairs)
    variance = sum(pk * mk**2 for pk, mk in pairs) - mean**2
    spread = sum(
        p[j] * p[k] * (m[j] - m[k]) ** 2 for j in range(count) for k in range(j + 1, count)
    )
    inside = sum(pk * (low + width - mk) * (mk - low) for pk, mk in pairs)
    above = inside + (low + width / 2 - mean) ** 2
    return [(variance - spread).subs(one), (width**2 / 4 - variance - above).subs(one)]


def _mixtures() -> list[sp.Expr]:
    return mixture_hessian(1, 3) + mixture_hessian(2, 2) + mixture_hessian(2, 3)


STATEMENTS = (
    Statement("clock", "2", "d<h> = g^2 |grad h|^2 dt for any h(x_t, t)", carre_du_champ, ANY),
    Statement(
        "exponential",
        "2",
        "exp(a h - a^2 <h>/2) is a local martingale if h is",
        exponential_of_any,
        ANY,
    ),
    *(
        Statement(f"{name}-{d}d", "2", says, partial(residuals, d), f"d = {d}")
        for name, says, residuals in (
            ("clock", "d<u.M> = alpha^2 g^2 |Hess(log q) u|^2 dt", quadratic_variation),
            (
                "exponential",
                "exp(a u.M - a^2 <u.M>/2) is a local martingale",
                exponential_martingale,
            ),
        )
        for d in (1, 2)
    ),
    Statement(
        "best-exponent",
        "2",
        "exp(-a eps + a^2 V/2) is exp(-eps^2/(2 V)) at best",
        best_exponent,
        ANY,
        True,
    ),
    Statement(
        "mixture-hessian",
        "2",
        "Hess log q = -I/c + (alpha^2/c^2) Cov(mu|x_t), 3 means",
        _mixtures,
        "d <= 2",
    ),
    Statement(
        "range-of-means",
        "2",
        "0 <= Var <= D^2/4 over a width D, 3 means",
        partial(range_of_means, 3),
    ),
)
