"""Likelihood of the probability-flow ODE by the instantaneous change of variables.

dx/dt = f x - (g^2/2) s_theta(x, t). In u = x/alpha and over log-SNR lambda it reads

    du/dlambda = (sigma^2 / (2 alpha)) s_theta,
    d log p/dlambda = -(sigma^2/2) div s_theta - d (d log alpha/dlambda),

as g^2 dt = -sigma^2 dlambda: neither f nor g is needed (Song et al. 2021, appendix D.2).
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float64
from scipy.integrate import solve_ivp
from torch import Tensor

from theory.diffusion.schedules import Schedule

ScoreAndDivergence = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(x (n, d), t ()) -> score (n, d) and its divergence (n,)."""


def ode_log_likelihood(
    model: ScoreAndDivergence,
    log_prior: Callable[[Tensor], Tensor],
    schedule: Schedule,
    x_s: Float64[Tensor, "n d"],
    s: float,
    t: float,
    rtol: float = 1e-11,
) -> Float64[Tensor, "n"]:
    """log p_s(x_s), where the ODE takes p_t of log density ``log_prior`` to p_s:

        log p_s(x_s) = log p_t(x_t) + d log(alpha_t/alpha_s) + 0.5 int sigma^2 div s_theta dlambda,

    the integral from lambda_s to lambda_t. The points are carried from s to t by an explicit
    Runge-Kutta method of order 8 (``scipy.integrate.solve_ivp``).

    Args:
        model: the score of the model and its divergence.
        log_prior: log density of p_t, from points (n, d) to (n,).
        schedule: of the diffusion.
        x_s: the points.
        s: their time.
        t: the time of the prior, t > s.
        rtol: relative and absolute tolerance of the solver.
    """
    n, d = x_s.shape
    ends = torch.tensor([s, t], dtype=torch.float64)
    start, end = schedule.log_snr(ends).tolist()
    alpha_s, alpha_t = schedule.alpha(ends)

    def slope(log_snr: float, state: np.ndarray) -> np.ndarray:
        """d/dlambda of u and of the integral of 0.5 sigma^2 div s_theta, in one vector."""
        time = schedule.time_of(torch.tensor(log_snr, dtype=torch.float64))
        alpha, sigma_sq = schedule.alpha(time), schedule.sigma(time) ** 2
        u = torch.from_numpy(state[: n * d]).reshape(n, d)
        score, divergence = model(alpha * u, time)
        parts = (sigma_sq / (2 * alpha) * score).flatten(), sigma_sq / 2 * divergence
        return torch.cat(parts).numpy()

    state = np.concatenate([(x_s / alpha_s).flatten().numpy(), np.zeros(n)])
    solved = solve_ivp(slope, (start, end), state, method="DOP853", rtol=rtol, atol=rtol)
    final = torch.from_numpy(solved.y[:, -1])
    x_t = alpha_t * final[: n * d].reshape(n, d)
    return log_prior(x_t) + d * torch.log(alpha_t / alpha_s) + final[n * d :]
