"""The proofs of section 1 tell a true identity from its neighbours."""

import sympy as sp

from tests.theory.proofs.proving import require_verdicts
from theory.proofs.algebra import coordinates, density


def kernel_by_parts(factor):
    x_t, x_s = sp.symbols("x_t x_s", real=True)
    a, v = sp.symbols("A V", positive=True)
    normal = sp.exp(-((x_t - a * x_s) ** 2) / (2 * v))
    return sp.diff(normal, x_t) + factor(a) * sp.diff(normal, x_s)


def kernel_in_the_plane(factor, along):
    y, z, a, v = sp.symbols("y z A V", positive=True)
    at_s = coordinates(2)
    normal = sp.exp(-((y - a * at_s[0]) ** 2 + (z - a * at_s[1]) ** 2) / (2 * v))
    return sp.diff(normal, y) + factor(a) * sp.diff(normal, at_s[along])


def gradient_integrand(of, along):
    plane = coordinates(2)
    q = density(plane)
    return q * sp.diff(of(q), plane[0]) - sp.diff(q, plane[along])


TRUE = {
    "kernel by parts": lambda: kernel_by_parts(lambda a: 1 / a),
    "kernel in the plane": lambda: kernel_in_the_plane(lambda a: 1 / a, 0),
    "q grad log q": lambda: gradient_integrand(sp.log, 0),
}
BROKEN = {
    "kernel without A": lambda: kernel_by_parts(lambda a: 1),
    "kernel in the plane with A": lambda: kernel_in_the_plane(lambda a: a, 0),
    "kernel along the other axis": lambda: kernel_in_the_plane(lambda a: 1 / a, 1),
    "q grad q": lambda: gradient_integrand(lambda q: q, 0),
    "q grad log q along the other axis": lambda: gradient_integrand(sp.log, 1),
}


def test_true_identities_are_proved_and_broken_ones_are_not():
    require_verdicts(TRUE, BROKEN)
