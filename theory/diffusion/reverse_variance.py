"""The reverse variance that is best for a given noise prediction (Analytic-DPM).

Of all Gaussian reverse kernels with the mean that a noise prediction gives, the one of least KL has

    variance = V_{s|t,0} + kappa^2 (sigma_t^2 / alpha_t^2) (1 - E|E[e|x_t]|^2 / d),
    kappa = alpha_s (1 - SNR_t / SNR_s),    V_{s|t,0} = sigma_s^2 (1 - SNR_t / SNR_s),

V the variance of x_s given x_t and x_0 and kappa the weight of x_0 in its mean: what is not known
of x_0 at time t adds to it. Bao et al., "Analytic-DPM" (ICLR 2022), theorem 1.
"""

import torch
from jaxtyping import Float64, Real
from torch import Tensor

from theory.diffusion.schedules import Schedule


def optimal_variance(
    schedule: Schedule,
    s: Real[Tensor, "*time"],
    t: Real[Tensor, "*time"],
    noise_energy: Float64[Tensor, "*time"],
) -> Float64[Tensor, "*time"]:
    """Variance per coordinate of the reverse step from t to s < t.

    Args:
        schedule: alpha_t and sigma_t.
        s, t: (T,), the times of the step.
        noise_energy: E|e_theta(x_t)|^2 / d, clamped to at most one, beyond which no posterior has
            a variance.
    """
    fall = -torch.expm1(schedule.log_snr(t) - schedule.log_snr(s))
    given_data = schedule.sigma(s) ** 2 * fall
    unknown = schedule.sigma(t) ** 2 / schedule.alpha(t) ** 2 * (1 - noise_energy.clamp(max=1))
    return given_data + (schedule.alpha(s) * fall) ** 2 * unknown
