"""alpha_t grad log q_t is a reverse martingale of mean zero: two proofs.

The law q_t(x|c) of a label solves the same Fokker-Planck equation, so that both are proofs of
alpha_t grad log q_t(x|c) under the reverse process of q(.|c), too.

That the generator vanishes makes M a local martingale. It is a martingale where sigma_s > 0, as the
expected clock is finite. With e the noise of x_t,

    grad log q = -E[e|x_t]/sigma,    Hess log q = (Cov(e|x_t) - I)/sigma^2,

so that by Jensen's inequality E|Hess log q|^2 <= C/sigma^4 with the moments of a Gaussian, for any
law of the data, and E<M> = int alpha^2 g^2 E|Hess log q|^2 dr is finite over [s, T]. That E|M|^2 is
bounded would not do: there are local martingales bounded in mean square that are none.
"""

import sympy as sp

from theory.proofs.algebra import (
    Statement,
    alpha,
    coordinates,
    density,
    gradient,
    reverse_generator,
)


def score_martingale(dimension: int) -> list[sp.Expr]:
    """The reverse generator of M = alpha grad log q vanishes; a residual per coordinate."""
    x = coordinates(dimension)
    q = density(x)
    return [reverse_generator(alpha * score, q, x) for score in gradient(sp.log(q), x)]


def transition_kernel_parts(dimension: int) -> list[sp.Expr]:
    """The step of the kernel proof: grad_t N(x_t; A x_s, V I) = -(1/A) grad_s N.

    Integrating by parts, grad q_t = (1/A) int grad q_s N, hence M_t = E[M_s | x_t].
    """
    at_t, at_s = (sp.symbols(f"x_{time}1:{dimension + 1}", real=True) for time in "ts")
    a, v = sp.symbols("A V", positive=True)
    square = sum((y - a * x) ** 2 for y, x in zip(at_t, at_s, strict=True))
    normal = sp.exp(-square / (2 * v)) / sp.sqrt(2 * sp.pi * v) ** dimension
    return [sp.diff(normal, y) + sp.diff(normal, x) / a for y, x in zip(at_t, at_s, strict=True)]


def zero_mean(dimension: int) -> list[sp.Expr]:
    """E[grad log q] = int grad q: each integrand is an exact derivative, with no boundary term."""
    x = coordinates(dimension)
    q = density(x)
    return [q * sp.diff(sp.log(q), xi) - sp.diff(q, xi) for xi in x]


STATEMENTS = (
    Statement("martingale-1d", "1", "alpha d(log q)/dx is a reverse martingale", lambda: score_martingale(1)),
    Statement("martingale-2d", "1", "alpha grad log q, both coordinates", lambda: score_martingale(2)),
    Statement("martingale-3d", "1", "alpha grad log q, all three coordinates", lambda: score_martingale(3)),
    Statement("kernel-by-parts", "1", "grad_t N = -(1/A) grad_s N", lambda: transition_kernel_parts(2)),
    Statement("zero-mean", "1", "q grad log q = grad q integrates to zero", lambda: zero_mean(2)),
)  # fmt: skip
