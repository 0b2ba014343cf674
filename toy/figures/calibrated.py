"""What calibration does to the divergences whose bound it lowers: they follow, or they do not."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from theory.diffusion.likelihood_bound import bound_weights
from theory.diffusion.ode_likelihood import ode_log_likelihood
from theory.diffusion.schedules import VPLinear
from toy.claims.nats import WholePieces, whole_pieces
from toy.mixtures.diffusion import Diffusion, as_time
from toy.numerics.line_quadrature import Lines
from toy.strategies.likelihood import WholeCase
from toy.strategies.mixtures import Components, TimePair

DATA = Components((0.7, 0.3), ((-0.25,), (2.25,)), ((0.4,), (0.7,)), ())
SEEN = 1e-12
"""Least weight of a point where the log likelihood is found."""

TERMS: dict[str, Callable[[WholePieces], float]] = {
    "j_sm": lambda p: p.j_sm,
    "kl_sde": lambda p: p.kl_sde,
    "kl_ode": lambda p: p.kl_ode,
    "j_fisher": lambda p: p.j_fisher,
}


@dataclass(frozen=True)
class Changes:
    """Calibrated less uncalibrated, in nats, over the planted bias (B,); and log-SNR at T."""

    log_snr: float
    bias: Tensor
    change: dict[str, Tensor]


@dataclass(frozen=True)
class Calibrated:
    """Of affine models of which only the bias can be calibrated, with the prior's mean that of q_T and
    with the mean zero where some signal is left at T; and of a model with a slope for its error.
    """

    matched: Changes
    missed: Changes
    sloped: Changes


def calibrated(points: int = 13) -> Calibrated:
    """Two components on the line; s_theta is by a few per cent too flat but for its bias."""
    missed = _affine(-1.0)
    model = _affine(-9.5)
    deviation = math.sqrt(model.deviation**2 + math.exp(9.5))
    matched = replace(model, offset=model.centre / deviation)
    bias = torch.linspace(-0.6, 0.6, points, dtype=torch.float64)
    slight = torch.linspace(-0.1, 0.2, points, dtype=torch.float64)
    return Calibrated(_changes(matched, bias), _changes(missed, bias), _sloped(slight))


def _pair(low: float, high: float) -> TimePair:
    schedule = VPLinear()
    s, t = (schedule.time_of(as_time(x)).item() for x in (high, low))
    return TimePair(schedule, s, t)


def _affine(low: float) -> WholeCase:
    """The Gaussian of the data's mean and variance, its slope times 0.95, from N(0, C) at T."""
    data = DATA.mixture()
    mean, weights = data.mean().item(), torch.exp(data.log_weights)
    variance = (weights @ ((data.means[:, 0] - mean) ** 2 + data.variances[:, 0])).item()
    return WholeCase(DATA, _pair(low, 8.0), math.sqrt(variance), 0.95, mean, 0.0, 0.0, 1.0)


def _changes(case: WholeCase, bias: Tensor) -> Changes:
    before = [whole_pieces(replace(case, bias=b)) for b in bias.tolist()]
    after = [whole_pieces(replace(case, bias=b).calibrated()) for b in bias.tolist()]
    change = {
        name: torch.tensor([of(y) - of(x) for x, y in zip(before, after, strict=True)]).double()
        for name, of in TERMS.items()
    }
    log_snr = case.times.schedule.log_snr(as_time(case.times.t)).item()
    return Changes(log_snr, bias, change)


def _sloped(bias: Tensor, slope: float = 0.2, low: float = -8.0) -> Changes:
    """e_theta = E[e|x_t] + slope (x_t - alpha E x_0) + b, of which calibration takes b; p_T = q_T."""
    pair = _pair(low, 5.0)
    ends = torch.tensor([pair.s, pair.t], dtype=torch.float64)
    fall = bound_weights(pair.schedule, ends).sum() * bias**2
    diffusion = Diffusion(DATA.mixture(), pair.schedule)
    before = _ode_divergences(diffusion, pair, slope, bias)
    after = _ode_divergences(diffusion, pair, slope, 0 * bias[:1])
    return Changes(low, bias, {"j_sm": -fall, "kl_ode": after - before})


def _ode_divergences(diffusion: Diffusion, pair: TimePair, slope: float, bias: Tensor) -> Tensor:
    """KL(q_s|p_s^ODE) for each bias (B,), along the flows of all of them at once."""
    x, weights = (v[0] for v in Lines.of(diffusion, torch.tensor([pair.s]).double()).points())
    x, weights = x[weights > SEEN], weights[weights > SEEN]
    planted, mean = bias.repeat_interleave(len(x))[:, None], diffusion.data.mean()

    def model(x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        law, (alpha, sigma) = diffusion.marginal(time.item()), diffusion.scales(time.item())
        score = law.score(x) - (slope * (x - alpha * mean) + planted) / sigma
        return score, law.hessian(x)[:, 0, 0] - slope / sigma

    prior, x_s = diffusion.marginal(pair.t), x.repeat(len(bias))[:, None]
    by_ode = ode_log_likelihood(
        model, prior.log_density, pair.schedule, x_s, pair.s, pair.t, rtol=1e-7
    )
    exact = diffusion.marginal(pair.s).log_density(x[:, None])
    return (exact - by_ode.reshape(len(bias), -1)) @ weights
