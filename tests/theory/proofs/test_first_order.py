"""The proofs of order 1 tell a true identity from its neighbours."""

import sympy as sp

from tests.theory.proofs.proving import proved, require_verdicts
from theory.proofs.algebra import coordinates, density, inner_product
from theory.proofs.first_order import (
    a_s,
    a_t,
    best_variance,
    energy,
    fall_of_snr,
    r,
    s_s,
    s_t,
    step,
    step_variance,
)
from theory.proofs.moment_expansion import moment_expansion

F = sp.symbols("f1:3", real=True)
THETA = sp.symbols("theta1:3", real=True)
SHIFT = sp.Symbol("s", real=True)


def stein(factor):
    s = sp.Symbol("sigma", positive=True)
    (x,) = coordinates(1)
    q, phi = density((x,)), sp.Function("phi")(x)
    boundary = sp.diff(q * phi, x)
    return q * (-s * sp.diff(sp.log(q), x) * phi - factor(s) * sp.diff(phi, x)) + s * boundary


def kernel_by_parts(power):
    e, x_0, a, s = sp.symbols("e x_0 alpha sigma", positive=True)
    normal, phi = sp.exp(-(e**2) / 2), sp.Function("phi")(a * x_0 + s * e)
    return normal * (e * phi - s**power * sp.diff(phi, x_0) / a) + sp.diff(normal * phi, e)


def explained(share):
    """What subtracting share b.f takes off, against c.b, for C b = c."""
    best = sp.symbols("b1:3", real=True)
    matrix = sp.Matrix(2, 2, lambda i, j: moment_expansion(F[i] * F[j], F, {}))
    cross = matrix * sp.Matrix(best)
    known = {r * f: c for f, c in zip(F, cross, strict=True)}
    left = r - share * inner_product(best, F)
    return moment_expansion(r**2 - left**2, (r, *F), known) - (cross.T * sp.Matrix(best))[0]


def features_apart():
    """Each feature regressed on by itself."""
    c, m = sp.symbols("c1:3", real=True), sp.symbols("xx xy yy", positive=True)
    matrix = sp.Matrix([[m[0], m[1]], [m[1], m[2]]])
    return (matrix * sp.Matrix([c[0] / m[0], c[1] / m[2]]) - sp.Matrix(c))[0]


def adding(known):
    linear = inner_product(THETA, F)

    def fall(subtracted):
        return moment_expansion(r**2 - (r - subtracted) ** 2, (r, *F), known)

    return fall(SHIFT + linear) - fall(SHIFT) - fall(linear)


def cross_moment(feature):
    """Of a feature of (x_t, y), with y and with its mean in the residual."""
    y, f, mean = sp.symbols("y f E[y]", real=True)
    return moment_expansion(feature(f, y) * (y - mean), (y,), {y: mean})


def scaled(b):
    y, mean = sp.symbols("y m", real=True)
    scale = sp.Symbol("lambda", positive=True)
    return y - b(scale) * mean - b(scale) * (y - mean) - y / scale


def total_variance(unknown, fall=fall_of_snr):
    """Against the form of the package."""
    return s_s**2 * fall_of_snr + (a_s * fall) ** 2 * unknown - best_variance(energy)


def bao(root):
    given = s_s**2 * step_variance / s_t**2
    return given + (s_t / step - root(given)) ** 2 * (1 - energy) - best_variance(energy)


NOISE_LEFT = (s_t / a_t) ** 2 * (1 - energy)
TRUE = {
    "stein": lambda: stein(lambda s: s),
    "kernel": lambda: kernel_by_parts(1),
    "explained": lambda: explained(1),
    "centred": lambda: adding(dict.fromkeys(F, sp.Integer(0))),
    "of x_t": lambda: cross_moment(lambda f, y: f),
    "scale": lambda: scaled(lambda scale: 1 - 1 / scale),
    "variance": lambda: total_variance(NOISE_LEFT),
    "bao": lambda: bao(lambda given: step * s_s**2 / s_t),
}
BROKEN = {
    "stein without sigma": lambda: stein(lambda s: 1),
    "stein with sigma squared": lambda: stein(lambda s: s**2),
    "kernel with sigma squared": lambda: kernel_by_parts(2),
    "half of the slopes": lambda: explained(sp.Rational(1, 2)),
    "twice the slopes": lambda: explained(2),
    "features one by one": features_apart,
    "features not centred": lambda: adding({}),
    "one feature not centred": lambda: adding({F[0]: sp.Integer(0)}),
    "feature of the target": lambda: cross_moment(lambda f, y: y),
    "scale for its inverse": lambda: scaled(lambda scale: 1 - scale),
    "sigma for sigma squared": lambda: total_variance(s_t / a_t**2 * (1 - energy)),
    "energy of the square root": lambda: total_variance((s_t / a_t) ** 2 * (1 - sp.sqrt(energy))),
    "kappa without the ratio of SNRs": lambda: total_variance(NOISE_LEFT, sp.Integer(1)),
    "bao without lambda": lambda: bao(lambda given: s_s),
    "bao with the larger variance": lambda: bao(lambda given: sp.sqrt(s_s**2 - step_variance)),
}


def test_true_identities_are_proved_and_broken_ones_are_not():
    require_verdicts(TRUE, BROKEN)


def test_no_reverse_variance_is_ddpms_but_for_its_own_data():
    v = sp.Symbol("v", positive=True)
    energy_of_gaussian = s_t**2 / (a_t**2 * v + s_t**2)
    preserving = {s_s: sp.sqrt(1 - a_s**2), s_t: sp.sqrt(1 - a_t**2)}
    larger = (best_variance(energy_of_gaussian) - step_variance).subs(preserving)
    assert proved(larger.subs(v, 1))
    assert not proved(larger.subs(v, 2))
