"""The proofs of the likelihood bound tell a true identity from its neighbours."""

import sympy as sp

from tests.theory.proofs.proving import require_verdicts
from theory.proofs.algebra import divergence, f, g, gradient, inner_product, t
from theory.proofs.likelihood import cauchy_schwarz, diffused, divergence_rate, two_laws
from theory.proofs.moment_expansion import moment_expansion

HALF = sp.Rational(1, 2)


def bound_step(weight):
    a_s, a_t, s_s, s_t = sp.symbols("a_s a_t s_s s_t", positive=True)
    a, v = a_t / a_s, s_t**2 - (a_t * s_s / a_s) ** 2
    kl = (v / (a * s_t)) ** 2 / (2 * v * s_s**2 / s_t**2)
    return kl - weight((a_s / s_s) ** 2 / (a_t / s_t) ** 2)


def minus(one, other):
    return [a - b for a, b in zip(one, other, strict=True)]


def carried(x, score, of_p, by_score, by_law):
    """The velocity f x - by_score g^2 s + by_law g^2 grad log p."""
    return [
        f * xi - by_score * g**2 * si + by_law * g**2 * bi
        for xi, si, bi in zip(x, score, of_p, strict=True)
    ]


def sde(fall, by_score=1, by_law=HALF, dimension=1):
    x, q, p, s = two_laws(dimension)
    of_q, of_p = gradient(sp.log(q), x), gradient(sp.log(p), x)
    lost, missed = minus(s, of_q), minus(s, of_p)
    rate = divergence_rate(q, p, carried(x, s, of_p, by_score, by_law), x)
    return rate + q * fall(inner_product(lost, lost), inner_product(missed, missed))


def ode(weight, gap=lambda of_q, of_p: minus(of_p, of_q), by_score=HALF, dimension=1):
    x, q, p, s = two_laws(dimension)
    of_q, of_p = gradient(sp.log(q), x), gradient(sp.log(p), x)
    rate = divergence_rate(q, p, carried(x, s, of_p, by_score, 0), x)
    return rate + weight * q * inner_product(minus(s, of_q), gap(of_q, of_p))


def two_diffusions(weight):
    x, q, p, _ = two_laws(2)
    gap = gradient(sp.log(q / p), x)
    return divergence_rate(q, p, diffused(p, x), x) + weight * q * inner_product(gap, gap)


def along_flow(parts):
    x, _, p, v = two_laws(2)
    moved = -divergence([p * vi for vi in v], x) + inner_product(v, gradient(p, x))
    return (moved / p).doit() + sum(sp.diff(v[i], x[i]) for i in parts)


def noise(power):
    a, sigma = (sp.Function(name, positive=True)(t) for name in ("alpha", "sigma"))
    diffusion_sq = sp.diff(sigma**2, t) - 2 * sp.diff(sp.log(a), t) * sigma**2
    return diffusion_sq + sigma**power * sp.diff(sp.log(a**2 / sigma**2), t)


def lagrange(share, crossed):
    """E u^2 E v^2 - (E u v)^2 against the share of E crossed, over two copies."""
    own, copy = sp.symbols("u v", real=True), sp.symbols("U V", real=True)
    half = moment_expansion(share * crossed(*own, *copy), own, {})
    squares = moment_expansion(half.subs(dict(zip(copy, own, strict=True))), own, {})
    u_sq, v_sq, u_v = (
        moment_expansion(h, own, {}) for h in (own[0] ** 2, own[1] ** 2, own[0] * own[1])
    )
    return u_sq * v_sq - u_v**2 - squares


def antisymmetric(u, v, u_copy, v_copy):
    return (u * v_copy - u_copy * v) ** 2


TRUE = {
    "bound step": lambda: bound_step(lambda ratio: (ratio - 1) / 2),
    "sde": lambda: sde(lambda lost, missed: g**2 / 2 * (lost - missed)),
    "sde in the plane": lambda: sde(lambda lost, missed: g**2 / 2 * (lost - missed), dimension=2),
    "ode": lambda: ode(g**2 / 2),
    "ode in the plane": lambda: ode(g**2 / 2, dimension=2),
    "two diffusions": lambda: two_diffusions(g**2 / 2),
    "along the flow": lambda: along_flow((0, 1)),
    "noise": lambda: noise(2),
    "lagrange in any dimension": lambda: sum(cauchy_schwarz()),
    "lagrange": lambda: lagrange(HALF, antisymmetric),
}
BROKEN = {
    "bound step without minus one": lambda: bound_step(lambda ratio: ratio / 2),
    "bound step without half": lambda: bound_step(lambda ratio: ratio - 1),
    "the bound for an equality": lambda: sde(lambda lost, missed: g**2 / 2 * lost),
    "the square added": lambda: sde(lambda lost, missed: g**2 / 2 * (lost + missed)),
    "sde without half": lambda: sde(lambda lost, missed: g**2 * (lost - missed)),
    "g for g squared": lambda: sde(lambda lost, missed: g / 2 * (lost - missed)),
    "sde of half the score": lambda: sde(lambda lost, missed: g**2 / 2 * (lost - missed), HALF),
    "sde without its noise": lambda: sde(lambda lost, missed: g**2 / 2 * (lost - missed), by_law=0),
    "forward noise": lambda: sde(lambda lost, missed: g**2 / 2 * (lost - missed), by_law=-HALF),
    "ode without half": lambda: ode(g**2),
    "ode's other sign": lambda: ode(g**2 / 2, minus),
    "ode with the drift of the sde": lambda: ode(g**2 / 2, by_score=1),
    "ode's gap forgotten, plane": lambda: ode(g**2 / 2, lambda of_q, of_p: of_p, dimension=2),
    "diffusions without half": lambda: two_diffusions(g**2),
    "diffusions with the other sign": lambda: two_diffusions(-(g**2) / 2),
    "divergence of one coordinate": lambda: along_flow((0,)),
    "divergence forgotten": lambda: along_flow(()),
    "noise with sigma": lambda: noise(1),
    "noise without sigma": lambda: noise(0),
    "lagrange in any dimension without half": lambda: sum(cauchy_schwarz(sp.Integer(1))),
    "lagrange without half": lambda: lagrange(1, antisymmetric),
    "lagrange of a sum": lambda: lagrange(HALF, lambda u, v, a, b: (u * b + a * v) ** 2),
}


def test_true_identities_are_proved_and_broken_ones_are_not():
    require_verdicts(TRUE, BROKEN)
