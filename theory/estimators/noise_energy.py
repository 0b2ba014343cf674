"""E|e_theta|^2 / d of a network, without and with its calibration.

The variance of Analytic-DPM's reverse step (``theory.diffusion.reverse_variance``) needs it; it is a
quadratic function of the slopes, so that the sums they were fitted to give it without another pass.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float64, Real
from torch import Tensor

from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import Target
from theory.estimators import low_rank
from theory.estimators.slope_statistics import LowRankFit, SlopeStatistics
from theory.estimators.slopes import Slopes
from theory.statistics.image_bases import by_dct_coefficient, by_pixel
from theory.statistics.least_squares import XX, XY, YY


def noise_energies(
    schedule: Schedule,
    target: Target,
    times: Real[Tensor, "time"],
    statistics: Sequence[SlopeStatistics],
    shift: Float64[Tensor, "time *shape"],
    slopes: Slopes,
) -> Float64[Tensor, "time 2"]:
    """E|e_theta|^2 / d of the network, without and with its calibration, (T, 2).

    e_theta = p y_theta + q x_t is the noise that a prediction stands for. The moments are those of
    the images that the calibration was made from, means of their groups.

    Args:
        schedule, target: of the network.
        times: (T,).
        statistics: of each time.
        shift: (T, *shape), the constant shift that is subtracted.
        slopes: what is subtracted in addition.
    """
    a, _ = target.coefficients(schedule, times)
    determinant = target.determinant(schedule, times)
    p, q = schedule.alpha(times) / determinant, -a / determinant
    rows = []
    for k, of_time in enumerate(statistics):
        centres = of_time.centres
        cosine = None if slopes.cosine is None else slopes.cosine[k]
        turned = cosine is not None and bool(cosine.any())
        cells = by_dct_coefficient(of_time.shape) if turned else by_pixel(of_time.shape)
        on_x, on_y = (cosine if cosine is not None and turned else slopes.pixel[k]).flatten(1)
        products = of_time.among(cells)
        moments = products[of_time.draws > 0].mean(0)
        mean = p[k] * centres[1] + q[k] * centres[0]
        ones = torch.ones_like(on_x)
        before = _energy(moments, p[k] * ones, q[k] * ones, mean)
        left = mean - p[k] * shift[k].flatten()
        after = _energy(moments, p[k] * (1 - on_y), q[k] - p[k] * on_x, left)
        if slopes.kinds[k] == low_rank.NAME and of_time.low_rank is not None:
            after = after + _of_low_rank(of_time.low_rank, p[k], q[k]) / on_x.numel()
        rows.append(torch.stack([before, after]))
    return torch.stack(rows)


def _of_low_rank(fitted: LowRankFit, of_y: Tensor, of_x: Tensor) -> Tensor:
    """What E|e - of_y W^T f|^2 has beyond E|e|^2, e = of_y y + of_x x about the mean."""
    cross = 2 * of_y * (of_x * fitted.on_x + of_y * fitted.on_y)
    return of_y**2 * fitted.square - cross


def _energy(moments: Tensor, of_y: Tensor, of_x: Tensor, mean: Tensor) -> Tensor:
    """E|of_y (y - E y) + of_x (x - E x) + mean|^2 / d."""
    xx, xy, yy = (moments[j] for j in (XX, XY, YY))
    return (of_y**2 * yy + 2 * of_y * of_x * xy + of_x**2 * xx + mean**2).mean()
