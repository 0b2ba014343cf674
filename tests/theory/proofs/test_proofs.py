"""The lemmas of the proofs tell a true identity from its neighbours."""

import sympy as sp

from theory.proofs import STATEMENTS, schedules, tower
from theory.proofs.algebra import (
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


def coefficient(n, of):
    h = sp.Symbol("h", real=True)
    by_h = sp.diff(Q.subs(x, x - alpha * h) / Q, h, n).subs(h, 0).doit() / sp.factorial(n)
    return by_h - of(n) * sp.diff(Q, x, n) / Q


def test_a_translation_has_the_tower_for_its_coefficients():
    for n in (2, 3, 4):
        assert proved(coefficient(n, lambda n: (-alpha) ** n / sp.factorial(n)))
        assert not proved(coefficient(n, lambda n: (-alpha) ** n))
        assert not proved(coefficient(n, lambda n: (-alpha) ** (n - 1) / sp.factorial(n)))
    assert not proved(coefficient(3, lambda n: alpha**n / sp.factorial(n)))


def mean_of_kernel(power, sign=1):
    x_0, a, s = sp.symbols("x0_1 alpha sigma", positive=True)
    normal = sp.exp(-((x - a * x_0) ** 2) / (2 * s**2))
    return x * normal + sign * s**power * sp.diff(normal, x) - a * x_0 * normal


def test_the_posterior_mean_adds_sigma_squared_times_the_score():
    assert proved(mean_of_kernel(2))
    assert not proved(mean_of_kernel(1))
    assert not proved(mean_of_kernel(2, sign=-1))


def in_the_plane(power):
    plane = coordinates(2)
    q, sigma = density(plane), sp.Function("sigma", positive=True)(t)
    d_sigma = (g**2 + 2 * f * sigma**2) / (2 * sigma)
    mean = (plane[1] + sigma**power * sp.diff(sp.log(q), plane[1])) / alpha
    return reverse_generator(mean, q, plane).subs(sp.diff(sigma, t), d_sigma)


def test_the_posterior_mean_is_a_martingale_in_the_plane():
    assert proved(in_the_plane(2))
    assert not proved(in_the_plane(1))


def gradient_integrand(plane, of, along):
    q = density(plane)
    return q * sp.diff(of(q), plane[0]) - sp.diff(q, plane[along])


def test_only_q_grad_log_q_is_grad_q():
    plane = coordinates(2)
    assert proved(gradient_integrand(plane, sp.log, 0))
    assert not proved(gradient_integrand(plane, lambda q: q, 0))
    assert not proved(gradient_integrand(plane, sp.log, 1))


def kernel_in_the_plane(factor, along):
    y, z, a, v = sp.symbols("y z A V", positive=True)
    at_s = coordinates(2)
    normal = sp.exp(-((y - a * at_s[0]) ** 2 + (z - a * at_s[1]) ** 2) / (2 * v))
    return sp.diff(normal, y) + factor(a) * sp.diff(normal, at_s[along])


def test_the_kernel_moves_its_derivative_by_parts_in_the_plane():
    assert proved(kernel_in_the_plane(lambda a: 1 / a, 0))
    assert not proved(kernel_in_the_plane(lambda a: a, 0))
    assert not proved(kernel_in_the_plane(lambda a: 1 / a, 1))


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
