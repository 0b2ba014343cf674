"""The proofs of section 9 tell a true identity from its neighbours."""

import sympy as sp

from tests.theory.proofs.proving import require_verdicts
from theory.proofs import tower
from theory.proofs.algebra import (
    alpha,
    coordinates,
    density,
    f,
    fokker_planck,
    g,
    impose_dynamics,
    reverse_generator,
    t,
)

X, PLANE = coordinates(1), coordinates(2)
(x,) = X
P, Q = density(X, "p"), density(X)


def of_two_solutions(h):
    return impose_dynamics(reverse_generator(h, Q, X), P, X)


def derivative_ratio(order, power):
    return reverse_generator(alpha**power * sp.diff(Q, x, order) / Q, Q, X)


def shifted(shift):
    """The equation of q(x - shift, t), for a shift that does not move with alpha."""
    right = -f * Q - f * (x + shift) * sp.diff(Q, x) + g**2 / 2 * sp.diff(Q, x, 2)
    return fokker_planck(Q, X) - right


def coefficient(n, of):
    h = sp.Symbol("h", real=True)
    by_h = sp.diff(Q.subs(x, x - alpha * h) / Q, h, n).subs(h, 0).doit() / sp.factorial(n)
    return by_h - of * sp.diff(Q, x, n) / Q


def mean_of_kernel(power, sign=1):
    x_0, a, s = sp.symbols("x0_1 alpha sigma", positive=True)
    normal = sp.exp(-((x - a * x_0) ** 2) / (2 * s**2))
    return x * normal + sign * s**power * sp.diff(normal, x) - a * x_0 * normal


def tweedie(power, at):
    """Of the last coordinate."""
    q, sigma = density(at), sp.Function("sigma", positive=True)(t)
    mean = (at[-1] + sigma**power * sp.diff(sp.log(q), at[-1])) / alpha
    d_sigma = (g**2 + 2 * f * sigma**2) / (2 * sigma)
    return reverse_generator(mean, q, at).subs(sp.diff(sigma, t), d_sigma)


def energy(power, scale):
    score = scale * sp.diff(Q, x) / Q
    moment = Q * score**2
    flux = f * x * moment - g**2 / 2 * sp.diff(moment, x)
    lost = g**power * Q * sp.diff(score, x) ** 2
    return impose_dynamics(sp.diff(moment, t) + lost + sp.diff(flux, x), Q, X)


def solves(of):
    """Both terms of the equation of what is made of a diffused density, added with weights of their own."""
    along, across = tower.solves_too(of)
    return sp.Symbol("y") * along + sp.Symbol("z") * across


TRUE = {
    "a derivative is diffused": lambda: solves(lambda q, x, a, s: a * sp.diff(q, x)),
    "so is the posterior mean": lambda: solves(
        lambda q, x, a, s: (x * q + s**2 * sp.diff(q, x)) / a
    ),
    "energy of two martingales": lambda: tower.energy_of_two()[0],
    "the ratio along a coordinate": lambda: tower.ratio()[0],
    "ratio": lambda: of_two_solutions(P / Q),
    **{f"order {n}": lambda n=n: tower.derivative_ratio((n,))[0] for n in (1, 2, 3, 4)},
    "second order": lambda: derivative_ratio(2, 2),
    **{f"translation in {n}": lambda n=n: tower.translated(n)[0] for n in (1, 2)},
    **{
        f"coefficient {n}": lambda n=n: coefficient(n, (-alpha) ** n / sp.factorial(n))
        for n in (2, 3, 4)
    },
    "mean of the kernel": lambda: mean_of_kernel(2),
    "tweedie": lambda: tweedie(2, X),
    "tweedie in the plane": lambda: tweedie(2, PLANE),
    "energy": lambda: energy(2, alpha),
}
BROKEN = {
    "a square is not, along another coordinate": lambda: tower.solves_too(lambda q, *_: q**2)[1],
    "a derivative without alpha": lambda: solves(lambda q, x, a, s: sp.diff(q, x)),
    "a derivative with alpha^2": lambda: solves(lambda q, x, a, s: a**2 * sp.diff(q, x)),
    "a power of the density": lambda: solves(lambda q, x, a, s: q**2),
    "a mean with sigma": lambda: solves(lambda q, x, a, s: (x * q + s * sp.diff(q, x)) / a),
    "a mean with the other sign": lambda: solves(
        lambda q, x, a, s: (x * q - s**2 * sp.diff(q, x)) / a
    ),
    "energy of two with g": lambda: tower.energy_of_two(power=1)[0],
    "a density": lambda: of_two_solutions(P),
    "the inverse ratio": lambda: of_two_solutions(Q / P),
    "the logarithm of the ratio": lambda: of_two_solutions(sp.log(P / Q)),
    "the square of the ratio": lambda: of_two_solutions((P / Q) ** 2),
    **{
        f"order {n} with alpha^{n - 1}": lambda n=n: derivative_ratio(n, n - 1)
        for n in (1, 2, 3, 4)
    },
    "a fixed shift": lambda: shifted(sp.Symbol("h", real=True)),
    **{f"coefficient {n} without n!": lambda n=n: coefficient(n, (-alpha) ** n) for n in (2, 3, 4)},
    **{
        f"coefficient {n} with alpha^{n - 1}": lambda n=n: coefficient(
            n, (-alpha) ** (n - 1) / sp.factorial(n)
        )
        for n in (2, 3, 4)
    },
    "coefficient 3 of the other sign": lambda: coefficient(3, alpha**3 / sp.factorial(3)),
    "mean of the kernel with sigma": lambda: mean_of_kernel(1),
    "mean of the kernel less the score": lambda: mean_of_kernel(2, sign=-1),
    "tweedie with sigma": lambda: tweedie(1, X),
    "tweedie with sigma in the plane": lambda: tweedie(1, PLANE),
    "energy with g": lambda: energy(1, alpha),
    "energy without alpha": lambda: energy(2, sp.Integer(1)),
}


def test_true_identities_are_proved_and_broken_ones_are_not():
    require_verdicts(TRUE, BROKEN)
