"""alpha_t grad log q_t is a reverse martingale of mean zero: two proofs.

In every dimension it is the first order of ``theory.proofs.tower``; here it is written out in d = 1 and 3.

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
    ANY,
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


def transition_kernel_parts() -> list[sp.Expr]:
    """The step of the kernel proof: grad_t N(x_t; A x_s, V I) = -(1/A) grad_s N, along any coordinate.

    N is the normal density of that coordinate times a factor that does not depend on it. Integrating
    by parts, grad q_t = (1/A) int grad q_s N, hence M_t = E[M_s | x_t].
    """
    y, x = sp.symbols("x_t x_s", real=True)
    a, v, others = sp.symbols("A V N_others", positive=True)
    normal = others * sp.exp(-((y - a * x) ** 2) / (2 * v))
    return [sp.diff(normal, y) + sp.diff(normal, x) / a]


def zero_mean() -> list[sp.Expr]:
    """E[grad log q] = int grad q: each integrand is an exact derivative, with no boundary term."""
    x = coordinates(2)
    q = density(x)
    return [q * sp.diff(sp.log(q), x[0]) - sp.diff(q, x[0])]


STATEMENTS = (
    Statement(
        "martingale-1d",
        "1",
        "alpha d(log q)/dx is a reverse martingale",
        lambda: score_martingale(1),
        "d = 1",
    ),
    Statement(
        "martingale-3d",
        "1",
        "alpha grad log q, all three coordinates",
        lambda: score_martingale(3),
        "d = 3",
    ),
    Statement("kernel-by-parts", "1", "grad_t N = -(1/A) grad_s N", transition_kernel_parts, ANY),
    Statement(
        "zero-mean", "1", "q grad log q = grad q integrates to zero", zero_mean, ANY, identity=True
    ),
)
