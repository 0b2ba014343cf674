"""alpha_t grad log q_t is a reverse martingale of mean zero: two proofs."""

import sympy as sp

from theory.symbolic import Statement, alpha, coordinates, density, reverse_generator


def score_martingale(dimension: int) -> list[sp.Expr]:
    """Residuals of M = alpha grad log q, one per coordinate."""
    x = coordinates(dimension)
    q = density(x)
    return [reverse_generator(alpha * sp.diff(sp.log(q), xi), q, x) for xi in x]


def transition_kernel_parts() -> list[sp.Expr]:
    """The step of the kernel proof: dN(x_t; A x_s, V)/dx_t = -(1/A) dN/dx_s.

    Integrating by parts, grad q_t = (1/A) int grad q_s N, hence M_t = E[M_s | x_t].
    """
    x_t, x_s = sp.symbols("x_t x_s", real=True)
    a, v = sp.symbols("A V", positive=True)
    normal = sp.exp(-((x_t - a * x_s) ** 2) / (2 * v)) / sp.sqrt(2 * sp.pi * v)
    return [sp.diff(normal, x_t) + sp.diff(normal, x_s) / a]


def zero_mean() -> list[sp.Expr]:
    """E[grad log q] = int grad q: the integrand is an exact derivative, with no boundary term."""
    x = coordinates(1)
    q = density(x)
    return [q * sp.diff(sp.log(q), x[0]) - sp.diff(q, x[0])]


STATEMENTS = (
    Statement("martingale-1d", "1", "alpha d(log q)/dx is a reverse martingale", lambda: score_martingale(1)),
    Statement("martingale-2d", "1", "alpha grad log q, both coordinates", lambda: score_martingale(2)),
    Statement("martingale-3d", "1", "alpha grad log q, all three coordinates", lambda: score_martingale(3)),
    Statement("kernel-by-parts", "1", "dN/dx_t = -(1/A) dN/dx_s", transition_kernel_parts),
    Statement("zero-mean", "1", "q grad log q = grad q integrates to zero", zero_mean),
)  # fmt: skip
