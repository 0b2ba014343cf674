"""Models with planted error: the loss against the shift, guidance, planted and recovered bias."""

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from theory.calibration.procedure import calibrate
from theory.diffusion.schedules import VPLinear
from theory.diffusion.targets import NAMED, NOISE
from theory.estimators.control_variates import PLAIN, REGRESSION
from theory.statistics.shrinkage import PUBLISHED
from toy.claims.guidance import branch_shift, combined, own
from toy.figures.common import line
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture
from toy.mixtures.planted_error import Misfit, growing
from toy.numerics.quadrature import expectation
from toy.strategies.guided import GuidedCase, shift_of
from toy.strategies.mixtures import Components, TimePair


@dataclass(frozen=True)
class Loss:
    """By target: E|y_theta - c - E[y|x_t]|^2 over shifts c (C,); eta in closed form, the loss there.

    ``falls`` is (loss(r eta) - loss(0)) / eta^2 at ``ratios`` r, which must be ``parabola`` = r^2 - 2r.
    """

    shifts: Tensor
    losses: dict[str, Tensor]
    eta: dict[str, float]
    least: dict[str, float]
    ratios: Tensor
    falls: dict[str, Tensor]
    parabola: Tensor


@dataclass(frozen=True)
class Guidance:
    """Predictions over x at one scale, and their root mean square errors over scales.

    By name: exact, uncalibrated, each branch under its own law, the wrong law.
    """

    scale: float
    x: Tensor
    density: Tensor
    predictions: dict[str, Tensor]
    scales: Tensor
    errors: dict[str, Tensor]


@dataclass(frozen=True)
class Recovery:
    """Planted and recovered bias over time: exact |eta|^2 and the errors of two estimators."""

    times: Tensor
    planted: Tensor
    recovered: Tensor
    error: Tensor
    plain_error: Tensor


def _constant(value: float, t: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


def loss(t: float = 0.3) -> Loss:
    """A different constant error in every parametrization, and the same linear part and wave."""
    diffusion = line()
    shifts = torch.linspace(-1.0, 1.0, 61, dtype=torch.float64)
    ratios = torch.linspace(-0.5, 2.5, 13, dtype=torch.float64)
    constants = torch.linspace(-0.5, 0.6, len(NAMED), dtype=torch.float64).tolist()
    losses, etas, least, falls = {}, {}, {}, {}
    for constant, (name, target) in zip(constants, NAMED.items(), strict=True):
        model = Misfit(diffusion, target, partial(_constant, constant), 0.1, 0.1, 2.0)
        eta = model.eta(t)
        at_eta, before, *tried = _losses(model, t, torch.cat([eta, 0 * eta, ratios * eta]))
        losses[name] = _losses(model, t, shifts)
        etas[name], least[name] = eta.item(), at_eta.item()
        falls[name] = (torch.stack(tried) - before) / eta**2
    return Loss(shifts, losses, etas, least, ratios, falls, ratios**2 - 2 * ratios)


def _losses(model: Misfit, t: float, shifts: Tensor) -> Tensor:
    """E|y_theta - c - E[y|x_t]|^2 for every c of ``shifts``."""

    def squares(x: Tensor) -> Tensor:
        return (model.at(x, t) - model.exact(x, t) - shifts) ** 2

    return expectation(model.diffusion.marginal(t), squares, scale=0.5).value


def guidance(scale: float = 3.0) -> Guidance:
    """A guided noise prediction, whose branches have errors of their own."""
    components = Components((0.5, 0.5), ((-1.5,), (1.5,)), ((0.6,), (0.6,)), ())
    case = GuidedCase(
        components, TimePair(VPLinear(), 0.1, 0.3), NOISE, (0.0, 0.25, -0.2), 0.1, scale, 1, 0.0
    )
    law = case.of_label(1).marginal(case.times.t)
    x = torch.linspace(-3.5, 3.5, 141, dtype=torch.float64)[:, None]
    scales = torch.linspace(0.0, 6.0, 25, dtype=torch.float64)
    errors: dict[str, list[float]] = {name: [] for name in _guided(case, x) if name != "exact"}
    for w in scales.tolist():
        at_w = replace(case, scale=w)

        def squares(x: Tensor, at_w: GuidedCase = at_w) -> Tensor:
            values = _guided(at_w, x)
            exact = values.pop("exact")
            return torch.cat([(y - exact) ** 2 for y in values.values()], 1)

        mean = expectation(law, squares, scale=0.5, rtol=1e-8).value
        for name, value in zip(errors, mean.sqrt().tolist(), strict=True):
            errors[name].append(value)
    return Guidance(
        scale, x[:, 0], law.log_density(x).exp(),
        {name: y[:, 0] for name, y in _guided(case, x).items()},
        scales, {name: torch.tensor(value).double() for name, value in errors.items()},
    )  # fmt: skip


def _guided(case: GuidedCase, x: Tensor) -> dict[str, Tensor]:
    """Each way to predict, at points (n, 1)."""
    t, (conditional, unconditional) = case.times.t, (case.branch(case.label), case.branch(-1))
    guided = combined(case, conditional.at(x, t), unconditional.at(x, t))
    return {
        "exact": combined(case, conditional.exact(x, t), unconditional.exact(x, t)),
        "uncalibrated": guided,
        "own": guided - branch_shift(case),
        "wrong": guided - _wrong_shift(case),
    }


def _wrong_shift(case: GuidedCase) -> Tensor:
    """Both branches calibrated under the label's law and data, as if the guided prediction were one."""
    eta_c = shift_of(case, case.branch(case.label), own(case), own(case))
    return combined(case, eta_c, shift_of(case, case.branch(-1), own(case), own(case)))


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
            model,
            model.diffusion.schedule,
            images=x_0,
            times=times,
            estimator=e,
            policy=PUBLISHED,
            seed=seed,
        )
        for e in (PLAIN, REGRESSION)
    }
    planted = torch.stack([model.eta(t) for t in times.tolist()])
    best = results["regression"]
    return Recovery(
        times, planted.square().sum(1),
        torch.tensor([[e.value, e.lower, e.upper] for e in best.eta_sq], dtype=torch.float64),
        (best.shift - planted).square().sum(1),
        (results["plain"].shift - planted).square().sum(1),
    )  # fmt: skip
