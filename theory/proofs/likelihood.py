"""The likelihood bound: how fast a divergence falls along the dynamics, and what a step weighs."""

import sympy as sp

from theory.symbolic import Statement, coordinates, density, f, g, t


def bound_step() -> list[sp.Expr]:
    """KL of two reverse steps from t to s that differ in the noise by delta is 0.5 (SNR_s/SNR_t - 1) delta^2.

    Both have variance V sigma_s^2/sigma_t^2; their means differ by (V / (A sigma_t)) delta.
    """
    a_s, a_t, s_s, s_t, delta = sp.symbols("a_s a_t s_s s_t delta", positive=True)
    a, v = a_t / a_s, s_t**2 - (a_t / a_s) ** 2 * s_s**2
    kl = (v / (a * s_t) * delta) ** 2 / (2 * v * s_s**2 / s_t**2)
    snr_ratio = (a_s / s_s) ** 2 / (a_t / s_t) ** 2
    return [kl - (snr_ratio - 1) / 2 * delta**2]


def _divergence_rate(model_score: sp.Expr | None) -> tuple[sp.Expr, sp.Expr, sp.Expr, sp.Symbol]:
    """d/dt (q log(q/p)) with q diffused, and p diffused or carried by the ODE of a model's score.

    Returns the rate, q, p and x. The flux of q is f x q - (g^2/2) q'; of p the same, or
    (f x - (g^2/2) s) p.
    """
    (x,) = coordinates(1)
    q = density((x,))
    p = sp.Function("p", positive=True)(x, t)
    score = sp.diff(p, x) / p if model_score is None else model_score
    dq = -sp.diff(f * x * q - g**2 / 2 * sp.diff(q, x), x)
    dp = -sp.diff((f * x - g**2 / 2 * score) * p, x)
    return dq * (sp.log(q / p) + 1) - q / p * dp, q, p, x


def sde_divergence_rate() -> list[sp.Expr]:
    """d KL(q_t|p_t)/dt = -(g^2/2) E_q|(log q/p)'|^2, both diffused, but for an exact derivative."""
    rate, q, p, x = _divergence_rate(None)
    flux_q = f * x * q - g**2 / 2 * sp.diff(q, x)
    flux_p = f * x * p - g**2 / 2 * sp.diff(p, x)
    boundary = sp.diff((sp.log(q / p) + 1) * flux_q - q / p * flux_p, x)
    fall = g**2 / 2 * q * sp.diff(sp.log(q / p), x) ** 2
    return [(rate + boundary + fall).doit()]


def ode_divergence_rate() -> list[sp.Expr]:
    """The same with p carried by the ODE of a score s: -(g^2/2) E_q[(s - (log q)') (log p/q)']."""
    (x,) = coordinates(1)
    s = sp.Function("s", real=True)(x, t)
    rate, q, p, x = _divergence_rate(s)
    flux_q = f * x * q - g**2 / 2 * sp.diff(q, x)
    velocity = f * x - g**2 / 2 * s
    boundary = sp.diff((sp.log(q / p) + 1) * flux_q - q * velocity, x)
    product = (s - sp.diff(sp.log(q), x)) * sp.diff(sp.log(p / q), x)
    return [(rate + boundary + g**2 / 2 * q * product).doit()]


def change_of_variables() -> list[sp.Expr]:
    """d log p(x_t)/dt along dx/dt = v is -dv/dx, for p that the flow carries: dp/dt = -(v p)'."""
    (x,) = coordinates(1)
    p, v = sp.Function("p", positive=True)(x, t), sp.Function("v", real=True)(x, t)
    along = (-sp.diff(v * p, x) + v * sp.diff(p, x)) / p
    return [along.doit() + sp.diff(v, x)]


STATEMENTS = (
    Statement("sde-divergence", "5", "KL of two diffusions falls at (g^2/2) E|gap|^2", sde_divergence_rate),
    Statement("ode-divergence", "5", "KL to an ODE's law falls by J_ODE", ode_divergence_rate),
    Statement("change-of-variables", "5", "d log p/dt = -div v along the flow", change_of_variables),
    Statement("bound-step", "5", "a step of the bound weighs 0.5 (SNR_s/SNR_t - 1)", bound_step),
)  # fmt: skip
