"""Solvers as weights: no ridge raises what is fitted, and the local errors of orders one and two.

With lambda half the log-SNR, x = a x_0 + s e and a/s = e^lambda, the probability flow from lambda_0 is

    x_1 / s_1 = x_0 / s_0 + int e^lambda D(lambda) d lambda,

D being the network's prediction of x_0 along the trajectory.
"""

import sympy as sp

from theory.proofs.algebra import ANY, Statement


def fit_never_raises() -> list[sp.Expr]:
    """For (P + k D) v = p + k D w and E(v) = r - 2 v.p + v.P v, a square is left:

        E(w) - E(v) = (v - w).(P + 2 k D)(v - w) >= 0.

    With w = 0 for all cells together, and then w that of all for each cell, E never rises.
    """
    names = sp.symbols("p11 p12 p13 p22 p23 p33", real=True)
    p11, p12, p13, p22, p23, p33 = names
    square = sp.Matrix([[p11, p12, p13], [p12, p22, p23], [p13, p23, p33]])
    scale = sp.diag(*sp.symbols("d1:4", positive=True)) * sp.Symbol("kappa", positive=True)
    v, w = (sp.Matrix(sp.symbols(f"{name}1:4", real=True)) for name in "vw")
    cross = (square + scale) * v - scale * w

    def error(weights: sp.Matrix) -> sp.Expr:
        """E without r, which is the same for all."""
        return (weights.T * square * weights - 2 * weights.T * cross)[0]

    left = ((v - w).T * (square + 2 * scale) * (v - w))[0]
    return [sp.expand(error(w) - error(v) - left)]


def solver_orders(of_first: int = 1, of_second: int = 2) -> list[sp.Expr]:
    """DDIM's step is exact but for h^2, that of DPM-Solver++ 2M but for h^3, for any D(lambda).

    Args:
        of_first, of_second: up to which powers of h the errors of the two are looked at.
    """
    h, ratio, tau = sp.symbols("h r tau", positive=True)
    coefficients = sp.symbols("d0:4", real=True)

    def data(at: sp.Expr) -> sp.Expr:
        """D near lambda_0."""
        return sum(d * at**k / sp.factorial(k) for k, d in enumerate(coefficients))

    whole = sp.integrate(
        sp.expand(sp.series(sp.exp(tau), tau, 0, 4).removeO() * data(tau)), (tau, 0, h)
    )
    first = (sp.exp(h) - 1) * data(sp.Integer(0))
    further = (data(sp.Integer(0)) - data(-ratio * h)) / (2 * ratio)
    second = (sp.exp(h) - 1) * (data(sp.Integer(0)) + further)

    def terms(step: sp.Expr, most: int) -> list[sp.Expr]:
        """Coefficients of the step's error up to a power of h."""
        error = sp.expand(sp.series(step - whole, h, 0, 4).removeO())
        return [error.coeff(h, k) for k in range(most + 1)]

    return [*terms(first, of_first), *terms(second, of_second)]


STATEMENTS = (
    Statement(
        "fit-never-raises",
        "11",
        "no ridge raises the squared error fitted to, 3 weights",
        fit_never_raises,
    ),
    Statement(
        "solver-orders",
        "11",
        "DDIM errs by h^2 in a step, DPM-Solver++ 2M by h^3",
        solver_orders,
        ANY,
    ),
)
