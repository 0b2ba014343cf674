"""The effect of calibration on the divergences whose bound it lowers: they fall as well, or they do not."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from theory.diffusion.likelihood_bound import bound_weights
from theory.diffusion.ode_likelihood import ode_log_likelihood
from theory.diffusion.schedules import VPLinear
from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE
from toy.claims.likelihood_whole import WholeBoundTerms, whole_bound_terms
from toy.figures.common import SMALL, Axes, legend_below
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import float64
from toy.numerics.marginals_over_time import MarginalsOverTime
from toy.strategies.likelihood import WholeRangeCase
from toy.strategies.mixtures import Components
from toy.strategies.time_pairs import TimePair, time_pair

DATA = Components((0.7, 0.3), ((-0.25,), (2.25,)), ((0.4,), (0.7,)), ())
SEEN = 1e-12
"""Least weight of a point at which the log likelihood is computed."""

TERMS: dict[str, Callable[[WholeBoundTerms], float]] = {
    "j_sm": lambda p: p.j_sm,
    "kl_sde": lambda p: p.kl_sde,
    "kl_ode": lambda p: p.kl_ode,
    "j_fisher": lambda p: p.j_fisher,
}


@dataclass(frozen=True)
class LikelihoodChanges:
    """Calibrated less uncalibrated, in nats, over the planted bias (B,); and log-SNR at T."""

    log_snr: float
    bias: Tensor
    change: dict[str, Tensor]


@dataclass(frozen=True)
class ChangesOfModels:
    """The changes for three families of models.

    Attributes:
        matched, missed: affine models, of which calibration removes the bias only, with the prior's
            mean that of q_T, and with mean zero where some signal is left at T.
        sloped: models whose error has a slope besides the bias.
    """

    matched: LikelihoodChanges
    missed: LikelihoodChanges
    sloped: LikelihoodChanges


def compute_changes(points: int = 13) -> ChangesOfModels:
    """For two components on the line, with scores that are a few per cent too flat besides their bias."""
    missed = affine_case(-1.0)
    model = affine_case(-9.5)
    deviation = math.sqrt(model.deviation**2 + math.exp(9.5))
    matched = replace(model, offset=model.centre / deviation)
    bias = torch.linspace(-0.6, 0.6, points, dtype=torch.float64)
    slight = torch.linspace(-0.1, 0.2, points, dtype=torch.float64)
    return ChangesOfModels(_changes(matched, bias), _changes(missed, bias), _sloped(slight))


def affine_case(low: float) -> WholeRangeCase:
    """The score of a Gaussian with the data's moments, its slope times 0.95, from N(0, C) at log-SNR low."""
    data = DATA.mixture()
    mean, weights = data.mean().item(), torch.exp(data.log_weights)
    variance = (weights @ ((data.means[:, 0] - mean) ** 2 + data.variances[:, 0])).item()
    return WholeRangeCase(
        DATA, time_pair(VPLinear(), 8.0, low), math.sqrt(variance), 0.95, mean, 0.0, 0.0, 1.0
    )


def _changes(case: WholeRangeCase, bias: Tensor) -> LikelihoodChanges:
    before = [whole_bound_terms(replace(case, bias=b)) for b in bias.tolist()]
    after = [whole_bound_terms(replace(case, bias=b).calibrated()) for b in bias.tolist()]
    change = {
        name: float64([of(y) - of(x) for x, y in zip(before, after, strict=True)])
        for name, of in TERMS.items()
    }
    log_snr = case.times.schedule.log_snr(float64(case.times.t)).item()
    return LikelihoodChanges(log_snr, bias, change)


def _sloped(bias: Tensor, slope: float = 0.2, low: float = -8.0) -> LikelihoodChanges:
    """For e_theta = E[e|x_t] + slope (x_t - alpha E x_0) + b, of which calibration removes b; p_T = q_T."""
    pair = time_pair(VPLinear(), 5.0, low)
    ends = float64([pair.s, pair.t])
    fall = bound_weights(pair.schedule, ends).sum() * bias**2
    diffusion = Diffusion(DATA.mixture(), pair.schedule)
    before = ode_divergences(diffusion, pair, slope, bias)
    after = ode_divergences(diffusion, pair, slope, 0 * bias[:1])
    return LikelihoodChanges(low, bias, {"j_sm": -fall, "kl_ode": after - before})


def ode_divergences(diffusion: Diffusion, pair: TimePair, slope: float, bias: Tensor) -> Tensor:
    """KL(q_s|p_s^ODE) for each bias (B,), with the flows of all of them in one batch."""
    x, weights = (v[0] for v in MarginalsOverTime.of(diffusion, float64([pair.s])).points())
    x, weights = x[weights > SEEN], weights[weights > SEEN]
    planted, mean = bias.repeat_interleave(len(x))[:, None], diffusion.data.mean()

    def model(x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """The score and its divergence."""
        law, (alpha, sigma) = diffusion.marginal(time.item()), diffusion.scales(time.item())
        score = law.score(x) - (slope * (x - alpha * mean) + planted) / sigma
        return score, law.hessian(x)[:, 0, 0] - slope / sigma

    prior, x_s = diffusion.marginal(pair.t), x.repeat(len(bias))[:, None]
    by_ode = ode_log_likelihood(
        model, prior.log_density, pair.schedule, x_s, pair.s, pair.t, rtol=1e-7
    )
    exact = diffusion.marginal(pair.s).log_density(x[:, None])
    return (exact - by_ode.reshape(len(bias), -1)) @ weights


TERM_LOOKS = {
    "kl_sde": (BLUE, "-", "o", "KL, SDE"),
    "kl_ode": (ORANGE, "-", "s", "KL, ODE"),
    "j_fisher": (GREY, "-.", "", r"$J_\mathrm{Fisher}$"),
    "j_sm": ("black", "--", "", r"$J_\mathrm{SM}$, the bound"),
}


def draw_changes(axes: Sequence[Axes], result: ChangesOfModels) -> None:
    """The change of each over the planted bias; above zero, calibration has made it worse."""
    panels = (
        (result.matched, "Exact prior mean:\nall fall"),
        (result.missed, "Signal left at $T$:\neither KL may rise"),
        (result.sloped, "Error of slope, exact $p_T$:\nthe ODE's KL may rise"),
    )
    for ax, (changes, title) in zip(axes, panels, strict=True):
        for name in (name for name in TERM_LOOKS if name in changes.change):
            color, style, marker, label = TERM_LOOKS[name]
            ax.plot(
                changes.bias, changes.change[name], color=color, ls=style, marker=marker, ms=2.5, lw=1.2,
                label=label,
            )  # fmt: skip
        low, high = ax.get_ylim()
        ax.axhline(0.0, color="black", lw=0.6)
        ax.axhspan(0.0, high, color=GREEN, alpha=0.12, lw=0)
        ax.set(xlabel="planted bias $b$", ylim=(low, high))
        ax.set_title(title, fontsize="small")
    axes[0].set_ylabel("calibrated $-$ uncalibrated, nats")
    axes[1].text(
        0.98, 0.98, "rises", transform=axes[1].transAxes, ha="right", va="top", fontsize=SMALL,
        color=GREEN,
    )  # fmt: skip
    legend_below(axes[0], 4)
