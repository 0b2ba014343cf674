"""Models with planted error: the loss against the shift, guidance, planted and recovered bias."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from theory.calibration.procedure import calibrate
from theory.diffusion.schedules import VPLinear
from theory.diffusion.targets import NAMED, NOISE
from theory.estimators.control_variates import PLAIN, REGRESSION
from theory.statistics.shrinkage import UNSHRUNK
from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE
from toy.claims.guidance import branch_shift, combined, wrong_law_shift
from toy.figures.common import MARKERS, SMALL, Axes, legend_below, mixture_on_line, styled
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.mixtures.planted_error import PlantedErrorModel, cosine_bias
from toy.numerics.quadrature import expectation
from toy.strategies.guided import GuidedCase
from toy.strategies.mixtures import Components
from toy.strategies.time_pairs import TimePair

GUIDED_LOOKS = {
    "exact": ("black", "-", "exact"),
    "uncalibrated": (GREY, "-.", "uncalibrated"),
    "own": (BLUE, "-", "each branch, own law"),
    "wrong": (ORANGE, "--", "both under $q_t(x|c)$"),
}
"""Colour, line style and label of each way to predict."""


@dataclass(frozen=True)
class LossCurves:
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
class GuidedPredictions:
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
class RecoveredBias:
    """Planted and recovered bias over time: exact |eta|^2 and the errors of two estimators."""

    times: Tensor
    planted: Tensor
    recovered: Tensor
    error: Tensor
    plain_error: Tensor


def _constant(value: float, t: float) -> Tensor:
    return float64([value])


def compute_loss(t: float = 0.3) -> LossCurves:
    """A different constant error in every parametrization, and the same linear part and wave."""
    diffusion = mixture_on_line()
    shifts = torch.linspace(-1.0, 1.0, 61, dtype=torch.float64)
    ratios = torch.linspace(-0.5, 2.5, 13, dtype=torch.float64)
    constants = torch.linspace(-0.5, 0.6, len(NAMED), dtype=torch.float64).tolist()
    losses, etas, least, falls = {}, {}, {}, {}
    for constant, (name, target) in zip(constants, NAMED.items(), strict=True):
        model = PlantedErrorModel(diffusion, target, partial(_constant, constant), 0.1, 0.1, 2.0)
        eta = model.eta(t)
        at_eta, before, *tried = _losses(model, t, torch.cat([eta, 0 * eta, ratios * eta]))
        losses[name] = _losses(model, t, shifts)
        etas[name], least[name] = eta.item(), at_eta.item()
        falls[name] = (torch.stack(tried) - before) / eta**2
    return LossCurves(shifts, losses, etas, least, ratios, falls, ratios**2 - 2 * ratios)


def _losses(model: PlantedErrorModel, t: float, shifts: Tensor) -> Tensor:
    """E|y_theta - c - E[y|x_t]|^2 for every c of ``shifts``."""

    def squares(x: Tensor) -> Tensor:
        """The squared error for every shift."""
        return (model.at(x, t) - model.exact(x, t) - shifts) ** 2

    return expectation(model.diffusion.marginal(t), squares, scale=0.5).value


def compute_guidance(scale: float = 3.0) -> GuidedPredictions:
    """A guided noise prediction, whose branches have errors of their own."""
    components = Components((0.5, 0.5), ((-1.5,), (1.5,)), ((0.6,), (0.6,)), ())
    case = GuidedCase(
        components,
        TimePair(VPLinear(), 0.1, 0.3),
        NOISE,
        ((0.0,), (0.25,), (-0.2,)),
        0.1,
        scale,
        1,
        (0.0,),
    )
    law = case.of_label(1).marginal(case.times.t)
    x = torch.linspace(-3.5, 3.5, 141, dtype=torch.float64)[:, None]
    scales = torch.linspace(0.0, 6.0, 25, dtype=torch.float64)
    errors: dict[str, list[float]] = {name: [] for name in _guided(case, x) if name != "exact"}
    for w in scales.tolist():
        at_w = replace(case, scale=w)

        def squares(x: Tensor, at_w: GuidedCase = at_w) -> Tensor:
            """The squared error of each way to predict."""
            values = _guided(at_w, x)
            exact = values.pop("exact")
            return torch.cat([(y - exact) ** 2 for y in values.values()], 1)

        mean = expectation(law, squares, scale=0.5, rtol=1e-8).value
        for name, value in zip(errors, mean.sqrt().tolist(), strict=True):
            errors[name].append(value)
    return GuidedPredictions(
        scale, x[:, 0], law.log_density(x).exp(),
        {name: y[:, 0] for name, y in _guided(case, x).items()},
        scales, {name: float64(value) for name, value in errors.items()},
    )  # fmt: skip


def _guided(case: GuidedCase, x: Tensor) -> dict[str, Tensor]:
    """Each way to predict, at points (n, 1)."""
    t, (conditional, unconditional) = case.times.t, (case.branch(case.label), case.branch(-1))
    guided = combined(case, conditional.at(x, t), unconditional.at(x, t))
    return {
        "exact": combined(case, conditional.exact(x, t), unconditional.exact(x, t)),
        "uncalibrated": guided,
        "own": guided - branch_shift(case),
        "wrong": guided - wrong_law_shift(case),
    }


def compute_recovery(seed: int, dimension: int = 64, images: int = 500) -> RecoveredBias:
    """``calibrate`` against a planted bias that changes with time."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(3, dimension, generator=generator, dtype=torch.float64)
    data = GaussianMixture.diagonal(torch.ones(3), means, torch.full((3,), 0.2))
    bias = 0.02 * torch.randn(dimension, generator=generator, dtype=torch.float64)
    model = PlantedErrorModel(
        Diffusion(data, VPLinear()), NOISE, lambda t: cosine_bias(bias)(4 * t)
    )
    times = torch.linspace(0.05, 1.0, 20, dtype=torch.float64)
    x_0 = data.sample(generator, images)
    results = {
        e.name: calibrate(
            model, model.diffusion.schedule, images=x_0, times=times, estimator=e,
            policy=UNSHRUNK, seed=seed, order=0,
        )
        for e in (PLAIN, REGRESSION)
    }  # fmt: skip
    planted = torch.stack([model.eta(t) for t in times.tolist()])
    best = results["regression"]
    return RecoveredBias(
        times, planted.square().sum(1),
        float64([[e.value, e.lower, e.upper] for e in best.eta_sq]),
        (best.shift - planted).square().sum(1),
        (results["plain"].shift - planted).square().sum(1),
    )  # fmt: skip


def draw_loss_over_shift(axes: Sequence[Axes], result: LossCurves) -> None:
    """Loss over the shift, its optimum at eta; then all of them on one parabola."""
    left, right = axes
    right.plot(result.ratios, result.parabola, color="black", lw=0.8)
    for name, values, color, style, marker in styled(result.losses):
        left.plot(result.shifts, values, color=color, ls=style, lw=1.2)
        left.plot(result.eta[name], result.least[name], color=color, marker=marker, ms=4)
        right.plot(
            result.ratios, result.falls[name], color=color, marker=marker, ms=3 + MARKERS.index(marker),
            mfc="none", ls="", label=name,
        )  # fmt: skip
    left.set(
        xlabel="shift $c$", ylabel=r"$E|y_\theta-c-E[y|x_t]|^2$",
        title=r"Least at $c=\eta_t$", ylim=(-0.03, 1),
    )  # fmt: skip
    right.set(
        xlabel=r"$c/\eta_t$", ylabel=r"$(L(c)-L(0))/|\eta_t|^2$",
        title=r"$r^2-2r$ for $r=c/\eta_t$",
    )  # fmt: skip
    legend_below(right, 6)


def draw_guidance(axes: Sequence[Axes], result: GuidedPredictions) -> None:
    """Guided predictions over x at one scale, and their errors over all scales."""
    left, right = axes
    for name, values in result.predictions.items():
        color, style, label = GUIDED_LOOKS[name]
        left.plot(result.x, values, color=color, ls=style, lw=1.3, label=label)
    for name, values in result.errors.items():
        color, style, _ = GUIDED_LOOKS[name]
        right.plot(result.scales, values, color=color, ls=style, lw=1.3)
    low, high = left.get_ylim()
    height = 0.2 * (high - low) / result.density.max()
    left.fill_between(result.x, low, low + height * result.density, color=GREEN, alpha=0.25, lw=0)
    left.text(
        result.x[result.density.argmax()].item(), low + 0.01 * (high - low), "$q_t(x|c)$", ha="center",
        va="bottom", fontsize=SMALL,
    )  # fmt: skip
    left.set(
        xlabel="$x_t$", ylabel="guided noise prediction", ylim=(low, high),
        title=f"Guidance scale {result.scale:g}",
    )  # fmt: skip
    right.set(
        xlabel="guidance scale $w$", ylabel="root mean square error", ylim=(0, None),
        title="Error under $q_t(x|c)$",
    )  # fmt: skip
    legend_below(left, 4)


def draw_recovery(axes: Sequence[Axes], result: RecoveredBias) -> None:
    """|eta|^2 planted and recovered, and the error energy of two estimators."""
    times = result.times.numpy()
    value, lower, upper = result.recovered.numpy().T
    left, right = axes
    left.plot(times, result.planted.numpy(), color=ORANGE, lw=2, label="planted")
    left.errorbar(
        times, value, (value - lower, upper - value), fmt="o", ms=3, lw=1, color=BLUE,
        label="recovered, 95 %",
    )  # fmt: skip
    left.set(xlabel="time $t$", ylabel=r"$|\eta_t|^2$", title="Planted and recovered bias")
    left.legend()
    right.semilogy(
        times, result.plain_error.numpy(), color=GREY, marker="s", ms=3, label="plain average"
    )
    right.semilogy(times, result.error.numpy(), color=BLUE, marker="o", ms=3, label="this toolkit")
    right.set(xlabel="time $t$", ylabel=r"$|\hat\eta_t-\eta_t|^2$", title="Error at equal cost")
    right.legend()
