"""What the theory figures show, computed; ``toy.plots`` draws it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from theory.calibration import calibrate
from theory.estimators import PLAIN, RESIDUAL
from theory.schedules import VPLinear
from theory.targets import NOISE
from toy.diffusion import Diffusion
from toy.misfit import Misfit, growing
from toy.mixture import GaussianMixture
from toy.quadrature import expectation


@dataclass(frozen=True)
class Paths:
    """M along exact reverse paths from one x_T: values (T, n), and what their mean must be.

    ``without_alpha`` (T,) is the mean of the score without its factor, scaled to start there too.
    """

    times: list[float]
    values: Tensor
    without_alpha: Tensor
    start: float


@dataclass(frozen=True)
class Residuals:
    """|E[M_s|x_t] - M_t| / E[|M_s||x_t] for s < t, NaN elsewhere: with and without alpha."""

    times: Tensor
    martingale: Tensor
    without_alpha: Tensor


@dataclass(frozen=True)
class Recovery:
    """Planted and recovered bias over time: exact |eta|^2 and the errors of two estimators."""

    times: Tensor
    planted: Tensor
    recovered: Tensor
    error: Tensor
    plain_error: Tensor


def _line() -> Diffusion:
    data = GaussianMixture.diagonal(
        torch.tensor([0.6, 0.4]), torch.tensor([[-2.0], [1.5]]), torch.tensor([0.15, 0.3])
    )
    return Diffusion(data, VPLinear())


def paths(seed: int, count: int = 2000, steps: int = 60) -> Paths:
    """Exact reverse paths of a one-dimensional mixture, all from the same x_T."""
    diffusion, generator = _line(), torch.Generator().manual_seed(seed)
    times = torch.linspace(0.4, 0.02, steps, dtype=torch.float64).tolist()
    x_t = torch.full((count, 1), 1.6, dtype=torch.float64)
    values = torch.stack(
        [
            diffusion.martingale(x, t)[:, 0]
            for x, t in zip(diffusion.reverse_path(x_t, times, generator), times, strict=True)
        ]
    )
    alphas = torch.tensor([diffusion.scales(t)[0] for t in times], dtype=torch.float64)
    without_alpha = values.mean(1) * alphas[0] / alphas
    return Paths(times, values, without_alpha, values[0, 0].item())


def residuals(points: int = 24) -> Residuals:
    """The martingale's residual by quadrature over a grid of (s, t), at x_t = 0.8."""
    diffusion = _line()
    times = torch.linspace(0.02, 1.0, points, dtype=torch.float64)
    x_t = torch.tensor([0.8], dtype=torch.float64)

    def grid(process: Callable[..., Tensor]) -> Tensor:
        values = torch.full((points, points), torch.nan, dtype=torch.float64)
        for j, t in enumerate(times.tolist()):
            for i, s in enumerate(times[:j].tolist()):
                kernel = diffusion.reverse_kernel(x_t, s, t)
                integral = expectation(kernel, partial(process, t=s))
                difference = integral.value - process(x_t, t)
                values[i, j] = (difference.abs() / integral.magnitude).item()
        return values

    return Residuals(
        times,
        grid(diffusion.martingale),
        grid(lambda x_t, t: diffusion.marginal(t).score(x_t)),
    )


def recovery(seed: int, dimension: int = 64, images: int = 500) -> Recovery:
    """``calibrate`` against a planted bias that changes with time."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(3, dimension, generator=generator, dtype=torch.float64)
    data = GaussianMixture.diagonal(torch.ones(3), means, torch.full((3,), 0.2))
    bias = 0.02 * torch.randn(dimension, generator=generator, dtype=torch.float64)
    model = Misfit(Diffusion(data, VPLinear()), NOISE, lambda t: growing(bias)(4 * t))
    times = torch.linspace(0.05, 1.0, 20, dtype=torch.float64)
    x_0 = data.sample(generator, images)
    results = {
        e.name: calibrate(
            model, model.diffusion.schedule, images=x_0, times=times, estimator=e, seed=seed
        )
        for e in (PLAIN, RESIDUAL)
    }
    planted = torch.stack([model.eta(t) for t in times.tolist()])
    best = results["residual"]
    return Recovery(
        times, planted.square().sum(1),
        torch.tensor([[e.value, e.lower, e.upper] for e in best.eta_sq], dtype=torch.float64),
        (best.shift - planted).square().sum(1),
        (results["plain"].shift - planted).square().sum(1),
    )  # fmt: skip
