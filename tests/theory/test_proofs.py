"""The lemmas of the proofs tell a true identity from its neighbours."""

import sympy as sp

from theory.proofs import STATEMENTS, schedules, tower
from theory.symbolic import (
    Statement,
    alpha,
    coordinates,
    density,
    f,
    fokker_planck,
    g,
    impose_dynamics,
    prove,
    reverse_generator,
    t,
)

X = coordinates(1)
(x,) = X
P, Q = density(X, "p"), density(X)


def proved(*residuals):
    return prove(Statement("", "", "", lambda: list(residuals))).proved


def of_two_solutions(h):
    return impose_dynamics(reverse_generator(h, Q, X), P, X)


def test_every_family_contributes():
    sections = {s.section for s in STATEMENTS}
    assert {"0", "1", "2", "4", "5", "9"} <= sections


def test_only_the_ratio_of_two_solutions_is_a_martingale():
    assert proved(of_two_solutions(P / Q))
    for h in (P, Q / P, sp.log(P / Q), (P / Q) ** 2):
        assert not proved(of_two_solutions(h))


def test_every_order_to_four_and_none_with_another_power():
    for order in (1, 2, 3, 4):
        assert proved(tower.tower((order,)))
        wrong = alpha ** (order - 1) * sp.diff(Q, x, order) / Q
        assert not proved(reverse_generator(wrong, Q, X))


def test_the_shift_must_grow_with_alpha():
    h = sp.Symbol("h", real=True)
    fixed_shift = fokker_planck(Q, X) - (
        -f * Q - f * (x + h) * sp.diff(Q, x) + g**2 / 2 * sp.diff(Q, x, 2)
    )
    assert proved(tower.translation(1), tower.translation(2))
    assert not proved(fixed_shift)


def test_energy_needs_g_squared_and_alpha():
    def residual(power, scale):
        score = scale * sp.diff(Q, x) / Q
        moment = Q * score**2
        flux = f * x * moment - g**2 / 2 * sp.diff(moment, x)
        lost = g**power * Q * sp.diff(score, x) ** 2
        return impose_dynamics(sp.diff(moment, t) + lost + sp.diff(flux, x), Q, X)

    assert proved(residual(2, alpha))
    assert not proved(residual(1, alpha))
    assert not proved(residual(2, sp.Integer(1)))


def test_gaussian_identities_are_not_true_of_another_variance():
    c_s, a, v = sp.symbols("c_s A V", positive=True)
    assert proved(*schedules.gaussian_increment())
    wrong = 1 / c_s - a**2 / (a**2 * c_s + v) - v / c_s**2
    assert not proved(sp.together(wrong))
