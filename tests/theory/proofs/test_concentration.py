"""The proofs of section 2 tell a true identity from its neighbours."""

import sympy as sp

from tests.theory.proofs.proving import require_verdicts
from theory.proofs.algebra import (
    alpha,
    coordinates,
    density,
    g,
    reverse_generator,
)

X = coordinates(2)
Q = density(X)
U = sp.symbols("u1:3", real=True)
A, C = sp.symbols("a c", real=True)
HALF = sp.Rational(1, 2)
PROCESS = alpha * sum(ui * sp.diff(sp.log(Q), xi) for ui, xi in zip(U, X, strict=True))
HESSIAN = sp.Matrix(sp.hessian(sp.log(Q), X))


def rate(power=2, scale=alpha**2, hessian=HESSIAN):
    pushed = (hessian * sp.Matrix(U)).T
    return scale * g**power * sum(entry**2 for entry in pushed)


def clock(of):
    champ = 2 * PROCESS * reverse_generator(PROCESS, Q, X) - reverse_generator(PROCESS**2, Q, X)
    return champ - of


def exponential(weight, of):
    h = sp.exp(A * PROCESS - weight * C)
    return (reverse_generator(h, Q, X) - of * sp.diff(h, C)) / h


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
    "clock": lambda: clock(rate()),
    "exponential": lambda: exponential(A**2 / 2, rate()),
    "mixture": lambda: mixture(lambda c: 1 / c, lambda a, c: a**2 / c**2),
    "range": lambda: popoviciu(lambda width: width**2 / 4, 1),
}
BROKEN = {
    "clock with g": lambda: clock(rate(power=1)),
    "clock with alpha": lambda: clock(rate(scale=alpha)),
    "clock of half": lambda: clock(rate() / 2),
    "clock of the diagonal": lambda: clock(rate(hessian=sp.diag(HESSIAN[0, 0], HESSIAN[1, 1]))),
    "clock of (Hess q)/q": lambda: clock(rate(hessian=sp.Matrix(sp.hessian(Q, X)) / Q)),
    "exponential without half": lambda: exponential(A**2, rate()),
    "exponential of the other sign": lambda: exponential(-(A**2) / 2, rate()),
    "exponential with a": lambda: exponential(A / 2, rate()),
    "exponential of another clock": lambda: exponential(A**2 / 2, rate(scale=alpha)),
    "exponential that forgets its clock": lambda: exponential(A**2 / 2, 0),
    "mixture without the prior": lambda: mixture(lambda c: 0, lambda a, c: a**2 / c**2),
    "mixture with alpha": lambda: mixture(lambda c: 1 / c, lambda a, c: a / c**2),
    "mixture with one c": lambda: mixture(lambda c: 1 / c, lambda a, c: a**2 / c),
    "covariances that differ": lambda: mixture(lambda c: 1 / c, lambda a, c: a**2 / c**2, False),
    "half the range": lambda: popoviciu(lambda width: width**2 / 8, 1),
    "second moment for variance": lambda: popoviciu(lambda width: width**2 / 4, 0),
}


def test_true_identities_are_proved_and_broken_ones_are_not():
    require_verdicts(TRUE, BROKEN)
