"""The reverse variance that is best for a given score, and what a network's own energy says of it.

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
from theory.diffusion.targets import Target
from theory.estimators.affine_sums import AffineSums
from theory.estimators.slopes import Slopes
from theory.statistics.image_bases import by_dct_coefficient, by_pixel
from theory.statistics.least_squares import XX, XY, YY


def optimal_variance(
    schedule: Schedule,
    s: Real[Tensor, "*time"],
    t: Real[Tensor, "*time"],
    noise_energy: Float64[Tensor, "*time"],
) -> Float64[Tensor, "*time"]:
    """Variance per coordinate of the reverse step from t to s < t.

    Args:
        noise_energy: E|e_theta(x_t)|^2 / d, clamped to at most one, beyond which no posterior has
            a variance.
    """
    fall = -torch.expm1(schedule.log_snr(t) - schedule.log_snr(s))
    given_data = schedule.sigma(s) ** 2 * fall
    unknown = schedule.sigma(t) ** 2 / schedule.alpha(t) ** 2 * (1 - noise_energy.clamp(max=1))
    return given_data + (schedule.alpha(s) * fall) ** 2 * unknown


def noise_energies(
    schedule: Schedule,
    target: Target,
    times: Real[Tensor, "time"],
    sums: list[AffineSums],
    centres: Float64[Tensor, "time 3 d"],
    shift: Float64[Tensor, "time *shape"],
    slopes: Slopes,
) -> Float64[Tensor, "time 2"]:
    """E|e_theta|^2 / d of the network, without and with its calibration, (T, 2).

    e_theta = p y_theta + q x_t is the noise that a prediction stands for. The moments are those of
    the images that the calibration was made from.
    """
    a, _ = target.coefficients(schedule, times)
    determinant = target.determinant(schedule, times)
    p, q = schedule.alpha(times) / determinant, -a / determinant
    rows = []
    for k, of_time in enumerate(sums):
        cosine = None if slopes.cosine is None else slopes.cosine[k]
        turned = cosine is not None and bool(cosine.any())
        cells = by_dct_coefficient(of_time.shape) if turned else by_pixel(of_time.shape)
        on_x, on_y = (cosine if cosine is not None and turned else slopes.pixel[k]).flatten(1)
        products = of_time.centred(centres[k], cells)
        moments = torch.einsum("g,gjd->jd", of_time.draws / of_time.draws.sum(), products)
        mean = p[k] * centres[k, 1] + q[k] * centres[k, 0]
        ones = torch.ones_like(on_x)
        before = _energy(moments, p[k] * ones, q[k] * ones, mean)
        left = mean - p[k] * shift[k].flatten()
        after = _energy(moments, p[k] * (1 - on_y), q[k] - p[k] * on_x, left)
        if slopes.low_rank is not None:
            after = after + _of_low_rank(of_time, centres[k], slopes.low_rank[k], p[k], q[k])
        rows.append(torch.stack([before, after]))
    return torch.stack(rows)


def _of_low_rank(
    sums: AffineSums, centres: Tensor, dense: Tensor, of_y: Tensor, of_x: Tensor
) -> Tensor:
    """What E|e - of_y W^T f|^2 / d has beyond E|e|^2 / d, e = of_y y + of_x x about the mean."""
    features, w = sums.low_rank, dense.flatten(1)
    if features is None:
        return torch.zeros((), dtype=torch.float64)
    squares, _ = features.centred(sums.draws, sums.sums, centres)
    square = torch.einsum("g,gij->ij", sums.draws / sums.draws.sum(), squares)
    with_x, with_y = features.with_network(sums.draws, sums.sums, centres)
    cross = 2 * of_y * (w * (of_x * with_x + of_y * with_y)).sum()
    return (of_y**2 * (w * (square @ w)).sum() - cross) / w.shape[1]


def _energy(moments: Tensor, of_y: Tensor, of_x: Tensor, mean: Tensor) -> Tensor:
    """E|of_y (y - E y) + of_x (x - E x) + mean|^2 / d."""
    xx, xy, yy = (moments[j] for j in (XX, XY, YY))
    return (of_y**2 * yy + 2 * of_y * of_x * xy + of_x**2 * xx + mean**2).mean()
