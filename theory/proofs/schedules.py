"""Identities of alpha_t and sigma_t, and of one Gaussian carried through them.

Data N(m, v) is N(alpha m, c) at time t, with c = alpha^2 v + sigma^2.
"""

import sympy as sp

from theory.proofs.algebra import ANY, Statement, alpha, coordinates, f, fokker_planck, g, t

m = sp.Symbol("m", real=True)
v = sp.Symbol("v", positive=True)


def diffusion_from_log_snr() -> list[sp.Expr]:
    """d(sigma^2)/dt - 2 f sigma^2 = -sigma^2 d lambda/dt, with f = d log alpha/dt."""
    a, s = (sp.Function(name, positive=True)(t) for name in ("a", "s"))
    f_t = sp.diff(sp.log(a), t)
    return [sp.diff(s**2, t) - 2 * f_t * s**2 + s**2 * sp.diff(sp.log(a**2 / s**2), t)]


def transition_composes() -> list[sp.Expr]:
    """Transitions r -> s -> t compose: A_rt = A_rs A_st, V_rt = V_st + A_st^2 V_rs."""
    a_r, a_s, a_t, s_r, s_s, s_t = sp.symbols("a_r a_s a_t s_r s_s s_t", positive=True)

    def between(a: sp.Expr, b: sp.Expr, sa: sp.Expr, sb: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
        """(A, V) from a time of alpha and sigma (a, sa) to one of (b, sb)."""
        return b / a, sb**2 - (b / a) ** 2 * sa**2

    a_rs, v_rs = between(a_r, a_s, s_r, s_s)
    a_st, v_st = between(a_s, a_t, s_s, s_t)
    a_rt, v_rt = between(a_r, a_t, s_r, s_t)
    return [a_rs * a_st - a_rt, v_st + a_st**2 * v_rs - v_rt]


def _schedule_dynamics(expression: sp.Expr) -> sp.Expr:
    """Replace alpha' by f alpha and (sigma^2)' by g^2 + 2 f sigma^2, for c's sigma^2."""
    noise = _noise_variance()
    rules = {
        sp.diff(alpha, t): f * alpha,
        sp.diff(noise, t): g**2 + 2 * f * noise,
    }
    return expression.doit().subs(rules).doit()


def _noise_variance() -> sp.Expr:
    return sp.Function("sigma_sq", positive=True)(t)


def _marginal_variance() -> sp.Expr:
    return alpha**2 * v + _noise_variance()


def gaussian_solves() -> list[sp.Expr]:
    """N(alpha m, c) solves the Fokker-Planck equation; the residual is divided by the density."""
    x = coordinates(1)
    c = _marginal_variance()
    q = sp.exp(-((x[0] - alpha * m) ** 2) / (2 * c)) / sp.sqrt(2 * sp.pi * c)
    return [_schedule_dynamics((sp.diff(q, t) - fokker_planck(q, x)) / q)]


def gaussian_clock() -> list[sp.Expr]:
    """E M_t^2 = alpha^2/c grows in reverse at the rate alpha^2 g^2/c^2 = alpha^2 g^2 (Hess log q)^2."""
    c = _marginal_variance()
    return [_schedule_dynamics(sp.diff(alpha**2 / c, t) + alpha**2 * g**2 / c**2)]


def gaussian_reverse_kernel() -> list[sp.Expr]:
    """q_s(x_s) N(x_t; A x_s, V) = q_t(x_t) N(x_s; alpha_s m + G (x_t - alpha_t m), V c_s/c_t).

    G = A c_s/c_t and c_t = A^2 c_s + V: the exponents and the determinants agree.
    """
    x_s, x_t, a_s = sp.symbols("x_s x_t alpha_s", real=True)
    a, var, c_s = sp.symbols("A V c_s", positive=True)
    c_t = a**2 * c_s + var
    at_s, at_t = x_s - a_s * m, x_t - a * a_s * m
    kernel_variance = var * c_s / c_t
    forward = at_s**2 / c_s + (x_t - a * x_s) ** 2 / var
    backward = at_t**2 / c_t + (at_s - a * c_s / c_t * at_t) ** 2 / kernel_variance
    return [sp.together(forward - backward), c_s * var - c_t * kernel_variance]


def gaussian_increment() -> list[sp.Expr]:
    """Var(M_s | x_t) = alpha_s^2 V/(c_s c_t) = alpha_s^2/c_s - alpha_t^2/c_t: the clock's increment."""
    a_s, a, var, c_s = sp.symbols("alpha_s A V c_s", positive=True)
    c_t = a**2 * c_s + var
    variance = (a_s / c_s) ** 2 * var * c_s / c_t
    clock = a_s**2 / c_s - (a * a_s) ** 2 / c_t
    return [sp.together(variance - clock), sp.together(variance - a_s**2 * var / (c_s * c_t))]


STATEMENTS = (
    Statement(
        "diffusion", "0", "g^2 = -sigma^2 d lambda/dt", diffusion_from_log_snr, ANY, identity=True
    ),
    Statement("transition", "0", "forward transitions compose", transition_composes, ANY),
    Statement(
        "gaussian-solves", "0", "N(alpha m, c) solves Fokker-Planck", gaussian_solves, "d = 1"
    ),
    Statement(
        "gaussian-reverse",
        "0",
        "a Gaussian's reverse kernel obeys Bayes",
        gaussian_reverse_kernel,
        "d = 1",
    ),
    Statement("gaussian-clock", "2", "d(alpha^2/c)/dt = -alpha^2 g^2/c^2", gaussian_clock, "d = 1"),
    Statement(
        "gaussian-increment",
        "2",
        "Var(M_s|x_t) = alpha_s^2/c_s - alpha_t^2/c_t",
        gaussian_increment,
        "d = 1",
    ),
)
