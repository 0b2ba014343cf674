"""Order 0 against order 1: the loss over log-SNR of a model with affine and wavy error."""

from dataclasses import dataclass

import torch
from torch import Tensor

from theory.calibration.procedure import calibrate
from theory.calibration.result import Calibration
from theory.statistics.shrinkage import SHRUNK
from toy.figures.common import line, times_between
from toy.mixtures.planted_error import Misfit
from toy.numerics.quadrature import expectation


@dataclass(frozen=True)
class Orders:
    """Over log-SNR (T,): the denoising loss E|y_theta - y|^2 and the model's own part of it.

    By name: none, constant, affine, each calibrated with so many images; and the least loss.
    """

    images: int
    log_snr: Tensor
    least: Tensor
    excess: dict[str, Tensor]


def orders(seed: int, images: int = 2000, steps: int = 24) -> Orders:
    """A noise prediction with a constant, a slope, a scale and a wave for its error."""
    model = Misfit(
        line(), constant=lambda t: torch.full((1,), 0.05, dtype=torch.float64), slope=0.08,
        amplitude=0.05, frequency=2.0, scale=0.15,
    )  # fmt: skip
    times = times_between(model.diffusion, 0.99, 0.02, steps)
    generator = torch.Generator().manual_seed(seed)
    x_0 = model.diffusion.data.sample(generator, images)
    made = {
        name: calibrate(
            model, model.diffusion.schedule, images=x_0, times=times, order=order, policy=SHRUNK,
            seed=seed,
        )
        for name, order in (("constant", 0), ("affine", 1))
    }  # fmt: skip
    rows = [_excess(model, t, made) for t in times.tolist()]
    least, none, *calibrated = torch.stack(rows).unbind(1)
    excess = dict(zip(("none", *made), (none, *calibrated), strict=True))
    return Orders(images, model.diffusion.schedule.log_snr(times), least, excess)


def _excess(model: Misfit, t: float, made: dict[str, Calibration]) -> Tensor:
    """E Var(e|x_t), and E|e_theta - E[e|x_t]|^2 without and with each calibration."""
    time = torch.tensor([t], dtype=torch.float64)

    def terms(x: Tensor) -> Tensor:
        y, exact = model.at(x, t), model.exact(x, t)
        corrected = [y - calibration.correction(x, time, y) for calibration in made.values()]
        return torch.cat([1 - exact**2, *((v - exact) ** 2 for v in (y, *corrected))], 1)

    return expectation(model.diffusion.marginal(t), terms, scale=0.2, rtol=1e-8).value
