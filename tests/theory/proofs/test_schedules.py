"""The proofs of section 0 tell a true identity from its neighbours."""

import sympy as sp

from tests.theory.proofs.proving import proved, require_verdicts
from theory.proofs import schedules
from theory.proofs.algebra import t


def composed_variance(power):
    a_r, a_s, a_t, s_r, s_s, s_t = sp.symbols("a_r a_s a_t s_r s_s s_t", positive=True)
    v_rs, v_st = (
        s_s**2 - (a_s / a_r) ** power * s_r**2,
        s_t**2 - (a_t / a_s) ** power * s_s**2,
    )
    return v_st + (a_t / a_s) ** 2 * v_rs - (s_t**2 - (a_t / a_r) ** power * s_r**2)


def diffusion_squared(sign):
    a, s = (sp.Function(name, positive=True)(t) for name in "as")
    g_sq = sp.diff(s**2, t) - 2 * sp.diff(sp.log(a), t) * s**2
    return g_sq - sign * s**2 * sp.diff(sp.log(a**2 / s**2), t)


TRUE = {
    "transition variance": lambda: composed_variance(2),
    "diffusion": lambda: diffusion_squared(-1),
}
BROKEN = {
    "transition variance with A": lambda: composed_variance(1),
    "diffusion with the wrong sign": lambda: diffusion_squared(1),
}


def test_true_identities_are_proved_and_broken_ones_are_not():
    require_verdicts(TRUE, BROKEN)


def test_gaussian_identities_are_not_true_of_another_variance():
    c_s, a, v = sp.symbols("c_s A V", positive=True)
    assert proved(*schedules.gaussian_increment())
    wrong = 1 / c_s - a**2 / (a**2 * c_s + v) - v / c_s**2
    assert not proved(sp.together(wrong))
