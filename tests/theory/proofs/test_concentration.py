"""The proofs of section 2 tell a true identity from its neighbours."""

import sympy as sp

from tests.theory.proofs.proving import require_verdicts
from theory.proofs.algebra import (
    alpha,
    coordinates,
    density,
    g,
    gradient,
    inner_product,
    reverse_generator,
)
from theory.proofs.concentration import carre_du_champ, exponential_of_any

LINE, PLANE = coordinates(1), coordinates(2)
A, C = sp.symbols("a c", real=True)


def diagonal(hessian):
    return sp.diag(*hessian.diagonal())


def of_density(x):
    """(Hess q)/q in place of Hess log q."""
    return sp.Matrix(sp.hessian(density(x), x)) / density(x)


def process_and_rate(x, power=2, scale=alpha**2, share=1, hessian=None):
    """u.M, and the rate of its clock with chosen factors."""
    q, u = density(x), sp.symbols(f"u1:{len(x) + 1}", real=True)
    true = sp.Matrix(sp.hessian(sp.log(q), x))
    pushed = (hessian(true) if hessian else true) * sp.Matrix(u)
    rate = share * scale * g**power * sum(entry**2 for entry in pushed)
    return alpha * inner_product(u, gradient(sp.log(q), x)), rate


def clock(x=LINE, **changed):
    process, rate = process_and_rate(x, **changed)
    q = density(x)
    return (
        2 * process * reverse_generator(process, q, x) - reverse_generator(process**2, q, x) - rate
    )


def exponential(weight, x=LINE, **changed):
    process, rate = process_and_rate(x, **changed)
    h = sp.exp(A * process - weight * C)
    return (reverse_generator(h, density(x), x) - rate * sp.diff(h, C)) / h


def mixture(prior, covariance, shared=True):
    """Hess log q times q^2 on the line, of two components."""
    (x,) = coordinates(1)
    a, c, w, m, n = sp.symbols("alpha c w m n", positive=True)
    parts = [w * sp.exp(-((x - a * m) ** 2) / (2 * c)), sp.exp(-((x - a * n) ** 2) / (2 * c))]
    if not shared:
        parts[1] = sp.exp(-((x - a * n) ** 2) / (4 * c))
    q = sum(parts)
    first, second = parts[0] * m + parts[1] * n, parts[0] * m**2 + parts[1] * n**2
    hessian = q * sp.diff(q, x, 2) - sp.diff(q, x) ** 2
    return hessian + prior(c) * q**2 - covariance(a, c) * (q * second - first**2)


def popoviciu(bound, mean_share):
    """Of two numbers, one of probability P."""
    p, m, n, low, width = sp.symbols("P m n l D", positive=True)
    mean, second = p * m + (1 - p) * n, p * m**2 + (1 - p) * n**2
    inside = p * (low + width - m) * (m - low) + (1 - p) * (low + width - n) * (n - low)
    square = (low + width / 2 - mean) ** 2
    return bound(width) - (second - mean_share * mean**2) - inside - square


TRUE = {
    "clock of anything": lambda: carre_du_champ()[0],
    "exponential of anything": lambda: exponential_of_any()[0],
    "clock": clock,
    "clock in the plane": lambda: clock(PLANE),
    "exponential": lambda: exponential(A**2 / 2),
    "exponential in the plane": lambda: exponential(A**2 / 2, PLANE),
    "mixture": lambda: mixture(lambda c: 1 / c, lambda a, c: a**2 / c**2),
    "range": lambda: popoviciu(lambda width: width**2 / 4, 1),
}
BROKEN = {
    "clock of anything with g": lambda: carre_du_champ(power=1)[0],
    "exponential of anything with a": lambda: exponential_of_any(power=1)[0],
    "clock with g": lambda: clock(power=1),
    "clock with alpha": lambda: clock(scale=alpha),
    "clock of half": lambda: clock(share=sp.Rational(1, 2)),
    "clock of the diagonal": lambda: clock(PLANE, hessian=diagonal),
    "clock of (Hess q)/q": lambda: clock(hessian=lambda _: of_density(LINE)),
    "exponential without half": lambda: exponential(A**2),
    "exponential of the other sign": lambda: exponential(-(A**2) / 2),
    "exponential with a": lambda: exponential(A / 2),
    "exponential of another clock": lambda: exponential(A**2 / 2, scale=alpha),
    "exponential that forgets its clock": lambda: exponential(A**2 / 2, share=0),
    "mixture without the prior": lambda: mixture(lambda c: 0, lambda a, c: a**2 / c**2),
    "mixture with alpha": lambda: mixture(lambda c: 1 / c, lambda a, c: a / c**2),
    "mixture with one c": lambda: mixture(lambda c: 1 / c, lambda a, c: a**2 / c),
    "covariances that differ": lambda: mixture(lambda c: 1 / c, lambda a, c: a**2 / c**2, False),
    "half the range": lambda: popoviciu(lambda width: width**2 / 8, 1),
    "second moment for variance": lambda: popoviciu(lambda width: width**2 / 4, 0),
}


def test_true_identities_are_proved_and_broken_ones_are_not():
    require_verdicts(TRUE, BROKEN)
