"""The likelihood bound: the rate of change of a divergence, and the weight of a discrete step.

q is diffused: it moves with the velocity f x - (g^2/2) grad log q. A law p that the reverse SDE of a
model's score s carries, seen from 0 to T, moves with f x - g^2 s + (g^2/2) grad log p; one that its
ODE carries, with f x - (g^2/2) s. Up to a divergence, which integrates to zero,

    d/dt (q log(q/p)) = q (v_q - v_p).grad log(q/p)    for any two velocities.
"""

from functools import partial

import sympy as sp

from theory.proofs.algebra import (
    ANY,
    Point,
    Statement,
    Vector,
    coordinates,
    density,
    divergence,
    f,
    g,
    gradient,
    inner_product,
    t,
)
from theory.proofs.moment_expansion import moment_expansion

HALF = sp.Rational(1, 2)


def bound_step() -> list[sp.Expr]:
    """0.5 (SNR_s/SNR_t - 1) delta^2 is the KL of two reverse steps t -> s with noise delta apart.

    Both have variance V sigma_s^2/sigma_t^2; their means differ by (V / (A sigma_t)) delta.
    """
    a_s, a_t, s_s, s_t, delta = sp.symbols("a_s a_t s_s s_t delta", positive=True)
    a, v = a_t / a_s, s_t**2 - (a_t / a_s) ** 2 * s_s**2
    kl = (v / (a * s_t) * delta) ** 2 / (2 * v * s_s**2 / s_t**2)
    snr_ratio = (a_s / s_s) ** 2 / (a_t / s_t) ** 2
    return [kl - (snr_ratio - 1) / 2 * delta**2]


def diffused(q: sp.Expr, x: Point) -> Vector:
    """The velocity f x - (g^2/2) grad log q of a diffused density."""
    return [f * xi - g**2 / 2 * ai for xi, ai in zip(x, gradient(sp.log(q), x), strict=True)]


def two_laws(dimension: int) -> tuple[Point, sp.Expr, sp.Expr, Vector]:
    """Coordinates, two arbitrary densities q and p, and an arbitrary score s of a model."""
    x = coordinates(dimension)
    score = [sp.Function(f"s{i + 1}", real=True)(*x, t) for i in range(dimension)]
    return x, density(x), density(x, "p"), score


def one_coordinate() -> tuple[Point, sp.Expr, sp.Expr, Vector]:
    """The same along one coordinate, with functions of all: every sum here is over coordinates."""
    x, q, p, score = two_laws(2)
    return x[:1], q, p, score[:1]


def divergence_rate(q: sp.Expr, p: sp.Expr, v_p: Vector, x: Point) -> sp.Expr:
    """d/dt (q log(q/p)) up to a divergence, with q diffused and dp/dt = -div(v_p p)."""
    flux_q = [q * vi for vi in diffused(q, x)]
    dq, dp = -divergence(flux_q, x), -divergence([p * vi for vi in v_p], x)
    log_ratio = sp.log(q / p)
    carried = [(log_ratio + 1) * ji - q * vi for ji, vi in zip(flux_q, v_p, strict=True)]
    return (dq * (log_ratio + 1) - q / p * dp + divergence(carried, x)).doit()


def diffusions_divergence_rate() -> list[sp.Expr]:
    """d KL(q_t|p_t)/dt = -(g^2/2) E_q|grad log(q/p)|^2, both diffused."""
    x, q, p, _ = one_coordinate()
    gap = gradient(sp.log(q / p), x)
    return [divergence_rate(q, p, diffused(p, x), x) + g**2 / 2 * q * inner_product(gap, gap)]


def sde_divergence_rate() -> list[sp.Expr]:
    """d KL(q_t|p_t)/dt = -(g^2/2) E_q|s - grad log q|^2 + (g^2/2) E_q|s - grad log p|^2.

    p is carried by the reverse SDE of any s. Integrated over time, KL(q_0|p_0) = KL(q_T|p_T) + J_SM
    - 0.5 int g^2 E_q|s - grad log p|^2: the bound is not sharp by this last term.
    """
    x, q, p, s = one_coordinate()
    of_q, of_p = gradient(sp.log(q), x), gradient(sp.log(p), x)
    v_p = [f * xi - g**2 * si + g**2 / 2 * bi for xi, si, bi in zip(x, s, of_p, strict=True)]
    lost = [si - ai for si, ai in zip(s, of_q, strict=True)]
    missed = [si - bi for si, bi in zip(s, of_p, strict=True)]
    fall = g**2 / 2 * q * (inner_product(lost, lost) - inner_product(missed, missed))
    return [divergence_rate(q, p, v_p, x) + fall]


def ode_divergence_rate() -> list[sp.Expr]:
    """With p carried by the ODE of s: -(g^2/2) E_q[(s - grad log q).grad log(p/q)]."""
    x, q, p, s = one_coordinate()
    v_p = [f * xi - g**2 / 2 * si for xi, si in zip(x, s, strict=True)]
    lost = [si - ai for si, ai in zip(s, gradient(sp.log(q), x), strict=True)]
    return [
        divergence_rate(q, p, v_p, x)
        + g**2 / 2 * q * inner_product(lost, gradient(sp.log(p / q), x))
    ]


def change_of_variables() -> list[sp.Expr]:
    """d log p(x_t)/dt along dx/dt = v is -div v, for p that the flow carries: dp/dt = -div(v p)."""
    x, _, p, v = one_coordinate()
    along = -divergence([p * vi for vi in v], x) + inner_product(v, gradient(p, x))
    return [(along / p).doit() + divergence(v, x)]


def noise_form() -> list[sp.Expr]:
    """g^2 |s|^2 dt = -|e|^2 d lambda for e = -sigma s, lambda = log(alpha^2/sigma^2).

    g^2 = d(sigma^2)/dt - 2 f sigma^2, f = d log alpha/dt, for any alpha and sigma.
    """
    a, sigma = (sp.Function(name, positive=True)(t) for name in ("alpha", "sigma"))
    score = sp.Symbol("s", real=True)
    diffusion_sq = sp.diff(sigma**2, t) - 2 * sp.diff(sp.log(a), t) * sigma**2
    d_log_snr = sp.diff(sp.log(a**2 / sigma**2), t)
    return [diffusion_sq * score**2 + (-sigma * score) ** 2 * d_log_snr]


def cauchy_schwarz(share: sp.Expr = HALF) -> list[sp.Expr]:
    """E|u|^2 E|v|^2 - (E u.v)^2 = share E sum_ij (u_i v'_j - u'_j v_i)^2, u', v' an independent copy.

    So J_ODE <= sqrt(J_SM J_Fisher), for u = s - grad log q, v = grad log p - grad log q and E over
    x under q_t and t under g^2/2 (Lagrange's identity).

    A pair of coordinates (i, j) and (j, i) is enough, i = j among them: the left side is a sum over pairs.
    """
    residuals = []
    for count in (1, 2):
        u, v, u_copy, v_copy = (sp.symbols(f"{x}1:{count + 1}", real=True) for x in "uvUV")
        own, copy = (*u, *v), (*u_copy, *v_copy)
        i, j = 0, count - 1
        crossed = (u[i] * v_copy[j] - u_copy[j] * v[i]) ** 2
        crossed += (u[j] * v_copy[i] - u_copy[i] * v[j]) ** 2
        half = moment_expansion(share * crossed, own, {})
        squares = moment_expansion(half.subs(dict(zip(copy, own, strict=True))), own, {})
        moment = partial(moment_expansion, variables=own, known={})
        both = moment(u[i] ** 2) * moment(v[j] ** 2) + moment(u[j] ** 2) * moment(v[i] ** 2)
        residuals.append(both - 2 * moment(u[i] * v[i]) * moment(u[j] * v[j]) - squares)
    return residuals


STATEMENTS = (
    Statement(
        "diffusions-divergence",
        "5",
        "KL of two diffusions falls at (g^2/2) E|gap|^2",
        diffusions_divergence_rate,
        ANY,
    ),
    Statement(
        "sde-divergence",
        "5",
        "KL to an SDE's law falls by J_SM less a square",
        sde_divergence_rate,
        ANY,
    ),
    Statement("ode-divergence", "5", "KL to an ODE's law falls by J_ODE", ode_divergence_rate, ANY),
    Statement(
        "cauchy-schwarz", "5", "E|u|^2 E|v|^2 - (E u.v)^2 is a sum of squares", cauchy_schwarz, ANY
    ),
    Statement(
        "change-of-variables", "5", "d log p/dt = -div v along the flow", change_of_variables, ANY
    ),
    Statement(
        "noise-form",
        "5",
        "g^2 |s|^2 dt = |e|^2 |d lambda| for e = -sigma s",
        noise_form,
        ANY,
        identity=True,
    ),
    Statement(
        "bound-step", "5", "a step of the bound weighs 0.5 (SNR_s/SNR_t - 1)", bound_step, ANY
    ),
)
