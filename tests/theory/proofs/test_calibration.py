"""The proofs of section 4 tell a true identity from its neighbours."""

import sympy as sp

from tests.theory.proofs.proving import require_verdicts


def conversion_to_data(factor):
    """Noise predictions shifted by eta, expressed as data predictions shifted by factor eta."""
    a, s, x_t, e, eta = sp.symbols("a s x_t e eta", positive=True)
    return (x_t - s * (e - eta)) / a - ((x_t - s * e) / a - factor(a, s) * eta)


def best_constant(constant):
    c, mean, second = sp.symbols("c m s", real=True)
    return sp.diff(second - 2 * c * mean + c**2, c).subs(c, constant(mean))


TRUE = {
    "converted shift": lambda: conversion_to_data(lambda a, s: -s / a),
    "best constant": lambda: best_constant(lambda mean: mean),
}
BROKEN = {
    "shift unscaled": lambda: conversion_to_data(lambda a, s: 1),
    "shift with the wrong sign": lambda: conversion_to_data(lambda a, s: s / a),
    "half of the mean": lambda: best_constant(lambda mean: mean / 2),
}


def test_true_identities_are_proved_and_broken_ones_are_not():
    require_verdicts(TRUE, BROKEN)
