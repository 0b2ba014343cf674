"""Martingales other than the score.

One lemma proves them all: if p and q solve the same Fokker-Planck equation, p/q is a martingale of
the reverse process of q. Components of a mixture, shifted densities and alpha^|k| d^k q are such p.

The generator gives local martingales. They are martingales, as for p_t = int p_s(x_s) N(x_t; A x_s, V)
the reverse kernel q_s N/q_t gives at once

    E[p_s/q_s (x_s) | x_t] = int p_s N dx_s / q_t(x_t) = p_t/q_t (x_t),

where int |p_s| is finite: 1 for densities, and for alpha^|k| d^k q by the moments of a Gaussian, as
sigma^|k| (d^k q)/q is, up to its sign, the conditional mean of a Hermite polynomial of the noise.
"""

from collections.abc import Callable
from functools import partial
from itertools import combinations_with_replacement, product

import sympy as sp

from theory.proofs.algebra import (
    ANY,
    Statement,
    alpha,
    at_one_coordinate,
    coordinates,
    density,
    divergence,
    f,
    fokker_planck,
    g,
    gradient,
    impose_dynamics,
    inner_product,
    reverse_generator,
    t,
)


def derivative_ratio(order: tuple[int, ...]) -> list[sp.Expr]:
    """alpha^|k| (d^k q)/q is a martingale, for k a multi-index; |k| = 1 is the score."""
    x = coordinates(len(order))
    q = density(x)
    derivative = sp.diff(q, *[(xi, n) for xi, n in zip(x, order, strict=True) if n])
    return [reverse_generator(alpha ** sum(order) * derivative / q, q, x)]


def solves_too(of: Callable[[sp.Expr, sp.Symbol, sp.Expr, sp.Expr], sp.Expr]) -> list[sp.Expr]:
    """p = of(q, x_i, alpha, sigma) solves the Fokker-Planck equation if q does, in every dimension.

    dp/dt less the equation's right-hand side is a sum over coordinates: along x_i itself, with what
    alpha and sigma change, and along any other coordinate, with what q alone changes.
    """
    own, x = at_one_coordinate()
    q, sigma = density(x), sp.Function("sigma", positive=True)(t)
    d_sigma = (g**2 + 2 * f * sigma**2) / (2 * sigma)
    moving, still = of(q, x[0], alpha, sigma), of(q, x[0], *sp.symbols("a s", positive=True))
    along = impose_dynamics(sp.diff(moving, t), q, own).subs(sp.diff(sigma, t), d_sigma)
    across = impose_dynamics(sp.diff(still, t), q, x[1:])
    return [along - fokker_planck(moving, own), across - fokker_planck(still, x[1:])]


def derivative_solves() -> list[sp.Expr]:
    """alpha dq/dx_i solves the equation of q. By induction so does alpha^|k| d^k q, k any multi-index."""
    return solves_too(lambda q, x, a, s: a * sp.diff(q, x))


def mean_solves() -> list[sp.Expr]:
    """(x_i q + sigma^2 dq/dx_i)/alpha solves the equation of q: E[x_0|x_t] times q."""
    return solves_too(lambda q, x, a, s: (x * q + s**2 * sp.diff(q, x)) / a)


def all_of_order(total: int) -> list[sp.Expr]:
    """The same for every two-dimensional multi-index of this total order."""
    orders = [k for k in product(range(total + 1), repeat=2) if sum(k) == total]
    return [residual for k in orders for residual in derivative_ratio(k)]


def tweedie(dimension: int) -> list[sp.Expr]:
    """E[x_0|x_t] = (x_t + sigma^2 grad log q_t)/alpha is a martingale, for any sigma with g^2."""
    x = coordinates(dimension)
    q = density(x)
    sigma = sp.Function("sigma", positive=True)(t)
    d_sigma = (g**2 + 2 * f * sigma**2) / (2 * sigma)
    means = [(xi + sigma**2 * sp.diff(sp.log(q), xi)) / alpha for xi in x]
    return [reverse_generator(mean, q, x).subs(sp.diff(sigma, t), d_sigma) for mean in means]


def posterior_mean() -> list[sp.Expr]:
    """(x_t + sigma^2 grad log q_t)/alpha is E[x_0|x_t]: sigma^2 grad N = -(x_t - alpha x_0) N.

    N is the density of x_t given x_0, along any coordinate a normal density times what does not depend
    on it; averaged over the data, grad N is grad q_t and x_0 N is E[x_0|x_t] q_t.
    """
    x, x_0 = sp.symbols("x x_0", real=True)
    a, sigma, others = sp.symbols("alpha sigma N_others", positive=True)
    normal = others * sp.exp(-((x - a * x_0) ** 2) / (2 * sigma**2))
    return [x * normal + sigma**2 * sp.diff(normal, x) - a * x_0 * normal]


def ratio() -> list[sp.Expr]:
    """p/q is a martingale of the reverse process of q, if both solve the Fokker-Planck equation."""
    own, x = at_one_coordinate()
    p, q = density(x, "p"), density(x)
    return [impose_dynamics(reverse_generator(p / q, q, own), p, own)]


def component() -> list[sp.Expr]:
    """P(1|x_t) = w q_1/q is a martingale, q = w q_1 + (1 - w) q_2; q_2 may be a mixture itself."""
    own, x = at_one_coordinate()
    first, others = density(x, "q1"), density(x, "q2")
    w = sp.Symbol("w", positive=True)
    q = w * first + (1 - w) * others
    residual = reverse_generator(w * first / q, q, own)
    return [impose_dynamics(impose_dynamics(residual, first, own), others, own)]


def translated(dimension: int) -> list[sp.Expr]:
    """The shifted density p(x, t) = q(x - alpha h, t) solves the same equation as q.

    With y = x - alpha h, dp/dt = dq/dt - f alpha h.grad q at (y, t), while the derivatives in x are
    those in y: a sum over coordinates. ``ratio`` then makes L_t(h) = p/q a martingale.
    """
    y = coordinates(dimension)
    h = sp.symbols(f"h1:{dimension + 1}", real=True)
    q = density(y)
    d_time = fokker_planck(q, y) - f * alpha * inner_product(h, gradient(q, y))
    right = sum(
        -f * q - f * (yi + alpha * hi) * sp.diff(q, yi) + g**2 / 2 * sp.diff(q, yi, 2)
        for hi, yi in zip(h, y, strict=True)
    )
    return [d_time - right]


def translation_coefficients(order: int, dimension: int) -> list[sp.Expr]:
    """Taylor's coefficients in h of L(h) = q(x - alpha h)/q(x) are (-alpha)^|k| (d^k q)/(k! q).

    Of every multi-index k of that order. L(h) is a martingale for every h, and so are they.
    """
    x = coordinates(dimension)
    h = sp.symbols(f"h1:{dimension + 1}", real=True)
    q = density(x)
    moved = q.subs([(xi, xi - alpha * hi) for xi, hi in zip(x, h, strict=True)], simultaneous=True)
    residuals = []
    for k in product(range(order + 1), repeat=dimension):
        if sum(k) == order:
            by_h = moved / q
            for hi, n in zip(h, k, strict=True):
                by_h = sp.diff(by_h, hi, n).subs(hi, 0).doit()
            by_x = sp.diff(q, *zip(x, k, strict=True)) / q
            factorials = sp.prod([sp.factorial(n) for n in k])
            residuals.append((by_h - (-alpha) ** order * by_x) / factorials)
    return residuals


def _in_line_and_plane(order: int) -> list[sp.Expr]:
    return translation_coefficients(order, 1) + translation_coefficients(order, 2)


def energy_of_two(power: int = 2) -> list[sp.Expr]:
    """d(q u v)/dt + g^power q grad u.grad v = -div(f x q u v - (g^2/2) grad(q u v)) for G u = G v = 0.

    With u and v two coordinates of M, integrated, it is the decay of the Fisher information matrix.
    """
    (x,), whole = at_one_coordinate()
    q = density(whole)
    u, v = (sp.Function(name, real=True)(*whole, t) for name in "uv")

    def backward(h: sp.Expr) -> sp.Expr:
        """dh/dt of a martingale h, along this coordinate."""
        drift = f * x - g**2 * sp.diff(q, x) / q
        return g**2 / 2 * sp.diff(h, x, 2) - drift * sp.diff(h, x)

    moment = q * u * v
    change = fokker_planck(q, (x,)) * u * v + q * (backward(u) * v + u * backward(v))
    lost = g**power * q * sp.diff(u, x) * sp.diff(v, x)
    flux = f * x * moment - g**2 / 2 * sp.diff(moment, x)
    return [change + lost + sp.diff(flux, x)]


def energy_decay(dimension: int) -> list[sp.Expr]:
    """d(alpha^2 I)/dt = -alpha^2 g^2 E[(Hess log q)^2] for the matrix I = E[grad log q grad log q^T].

    With M = alpha grad log q, the integrand of the difference is a divergence, which integrates
    to zero: d(q M_i M_j)/dt + g^2 q grad M_i.grad M_j = -div J, J = f x q M_i M_j - (g^2/2) grad(q M_i M_j).
    """
    x = coordinates(dimension)
    q = density(x)
    score = [alpha * derivative / q for derivative in gradient(q, x)]
    residuals = []
    for one, other in combinations_with_replacement(score, 2):
        moment = q * one * other
        lost = g**2 * q * inner_product(gradient(one, x), gradient(other, x))
        flux = [f * xk * moment - g**2 / 2 * sp.diff(moment, xk) for xk in x]
        residuals.append(impose_dynamics(sp.diff(moment, t) + lost + divergence(flux, x), q, x))
    return residuals


STATEMENTS = (
    Statement("ratio", "9", "p/q is a reverse martingale of q, if both are diffused", ratio, ANY),
    Statement(
        "posterior-mean", "9", "E[x_0|x_t] = (x_t + sigma^2 score)/alpha", posterior_mean, ANY
    ),
    Statement(
        "tweedie", "9", "E[x_0|x_t] q_t is diffused, and E[x_0|x_t] a martingale", mean_solves, ANY
    ),
    Statement(
        "tweedie-2d", "9", "E[x_0|x_t] is a martingale, written out", lambda: tweedie(2), "d = 2"
    ),
    Statement("component", "9", "P(k|x_t) = w_k q_k/q is a martingale", component, ANY),
    Statement(
        "translation",
        "9",
        "q_t(x - alpha h) solves the equation of q_t",
        lambda: translated(3),
        "d = 3",
    ),
    Statement(
        "tower", "9", "alpha^|k| (d^k q)/q is a reverse martingale, every k", derivative_solves, ANY
    ),
    Statement(
        "tower-4",
        "9",
        "alpha^4 q''''/q is one, written out",
        lambda: derivative_ratio((4,)),
        "d = 1",
    ),
    Statement(
        "tower-mixed-3",
        "9",
        "every third derivative, written out",
        lambda: all_of_order(3),
        "d = 2",
    ),
    *(
        Statement(
            f"translation-order-{order}",
            "9",
            f"L(h) has them for coefficients of order {order}",
            partial(_in_line_and_plane, order),
            "d <= 2",
        )
        for order in (1, 2, 3, 4)
    ),
    Statement(
        "energy", "9", "d(alpha^2 I)/dt = -alpha^2 g^2 E[(Hess log q)^2]", energy_of_two, ANY
    ),
    Statement("energy-2d", "9", "the same, written out", lambda: energy_decay(2), "d = 2"),
)
