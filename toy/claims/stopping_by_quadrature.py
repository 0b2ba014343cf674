"""Optional stopping of every martingale of the theory, by quadrature instead of sampling.

A path is seen at three times t > r > s. At r it stops with a probability psi(x_r) that depends on the
path up to now, and else at s: a randomized stopping time tau, for which every martingale M has

    E[M_tau | x_t] = E[psi(x_r) M_r(x_r) + (1 - psi(x_r)) E[M_s(x_s)|x_r] | x_t] = M_t(x_t).

Both means are by Gauss and Hermite's rule over each component of the kernel, with two numbers of
nodes: their difference is the error that is reported.
If psi looks ahead, at x_s instead of x_r, it is no stopping time, and the equation fails.
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float64
from torch import Tensor

from toy.claims.mistakes import one_power_less
from toy.judge.claim import ExactClaim, exact_claim
from toy.mixtures.density_derivatives import log_translation, tower_martingale
from toy.mixtures.diffusion import Diffusion, Process
from toy.mixtures.mixture import GaussianMixture, float64
from toy.numerics.gauss_rules import gauss_hermite
from toy.numerics.quadrature import hermite
from toy.numerics.relative_errors import TINY
from toy.numerics.reported_errors import UnresolvedError, report
from toy.strategies.mixtures import ReverseCase, reverse_cases
from toy.strategies.time_pairs import near_time_pairs

NODES = ((20, 24), (40, 48))
"""Nodes of the two rules; the second pair is for what the first does not settle."""

SETTLED = 1e-9
"""How well their sums must agree, relative to E|M_tau|."""

STEEPNESS = 1.0
"""Of psi, in deviations of the kernel."""

SHIFT = 0.4
"""The shift h of the data, in deviations of the component near x_t."""

Stop = Callable[[Tensor, Tensor], Tensor]
"""From x_r (n, 1) and x_s (n, m), in deviations from x_t's means of both, to a probability of stopping."""


def by_now(x_r: Tensor, x_s: Tensor) -> Tensor:
    """psi of what is known when it is asked, (n, 1)."""
    return torch.sigmoid(STEEPNESS * x_r)


def looking_ahead(x_r: Tensor, x_s: Tensor) -> Tensor:
    """The mistake of psi of what comes, (n, m)."""
    return torch.sigmoid(STEEPNESS * x_s)


def stopped_error(case: ReverseCase, process: Process, stop: Stop = by_now) -> float:
    """|E[M_tau|x_t] - M_t(x_t)| relative to E[|M_tau||x_t] of the largest entry.

    Raises:
        UnresolvedError: fewer nodes give another value.
    """
    for counts in NODES:
        few, (value, magnitude) = (_mean_at_tau(case, process, stop, count) for count in counts)
        unit = magnitude.amax().clamp(min=TINY)
        apart = ((value - few[0]).abs().amax() / unit).item()
        if apart <= SETTLED:
            report(apart)
            m_t = process(case.diffusion, case.x_t(), case.times.t)
            return ((value - m_t).abs().amax() / unit).item()
    raise UnresolvedError("optional stopping: the mean does not settle")


def _mean_at_tau(
    case: ReverseCase, process: Process, stop: Stop, count: int
) -> tuple[Float64[Tensor, "k"], Float64[Tensor, "k"]]:
    """E[M_tau|x_t] and E[|M_tau||x_t] by rules of so many nodes."""
    diffusion, s, t = case.diffusion, case.times.s, case.times.t
    schedule, x_t = case.times.schedule, case.x_t()
    r = schedule.time_of(schedule.log_snr(float64([s, t])).mean()).item()
    to_r, to_s = (diffusion.reverse_kernel(x_t, time, t) for time in (r, s))
    x_r, weights = hermite(to_r, count)
    x_s, further = _nodes_of_each(diffusion.reverse_kernel(x_r, s, r), count)
    psi = stop(_in_deviations(to_r, x_r), _in_deviations(to_s, x_s)[..., 0])[..., None]
    now = process(diffusion, x_r, r)[:, None]
    later = process(diffusion, x_s.flatten(0, 1), s).reshape(*x_s.shape[:2], -1)
    of_path, at_tau = weights[:, None] * further, psi * now + (1 - psi) * later
    mean, size = (torch.einsum("nm,nmk->k", of_path, m) for m in (at_tau, at_tau.abs()))
    return mean, size


def _nodes_of_each(
    kernels: GaussianMixture, count: int
) -> tuple[Float64[Tensor, "n m 1"], Float64[Tensor, "n m"]]:
    """Points and weights of the mean over each of n mixtures on the line."""
    nodes, weights = gauss_hermite(count)
    points = kernels.means[:, None] + nodes[:, None, None] * kernels.variances.sqrt()
    shares = weights[:, None] * torch.exp(kernels.log_weights)[:, None]
    return points.flatten(1, 2), shares.flatten(1)


def _in_deviations(law: GaussianMixture, x: Tensor) -> Tensor:
    """x about the mean of a law on the line, in units of its deviation."""
    shares = torch.exp(law.log_weights)
    apart = law.means[:, 0] - law.mean()
    return (x - law.mean()) / (shares @ (law.variances[:, 0] + apart**2)).sqrt()


def tower(diffusion: Diffusion, x: Tensor, t: float) -> Tensor:
    """The martingales of orders 1 to 3 side by side, in units of 1/sigma_T^n at least."""
    return torch.cat([tower_martingale(diffusion, x, t, order) for order in (1, 2, 3)], -1)


def tower_without_a_power(diffusion: Diffusion, x: Tensor, t: float) -> Tensor:
    """The mistake of one alpha too few."""
    return torch.cat([one_power_less(diffusion, x, t, order) for order in (1, 2, 3)], -1)


def translation(diffusion: Diffusion, x: Tensor, t: float, scaled: bool = True) -> Tensor:
    """L_t(h) for two shifts of the data."""
    alpha = diffusion.scales(t)[0] if scaled else 1.0
    deviation = diffusion.data.variances.min().sqrt()
    law = diffusion.marginal(t)
    return torch.stack(
        [torch.exp(log_translation(law, x, alpha * h * deviation)) for h in (-SHIFT, SHIFT)], -1
    )


def log_of_translation(diffusion: Diffusion, x: Tensor, t: float) -> Tensor:
    """The mistake of log L for L."""
    return torch.log(translation(diffusion, x, t))


CASES = reverse_cases(1, reach=2.0, least=0.5, pairs=near_time_pairs(0.1, 0.3))


def _claim(
    name: str, section: str, says: str, process: Process, wrong: dict[str, Process]
) -> ExactClaim:
    return exact_claim(
        f"stopped-{name}", section, f"E[M_tau|x_t] = M_t for {says}, tau randomized", CASES,
        partial(stopped_error, process=process), stop={f"looking-ahead-{name}": looking_ahead},
        instead={
            mutant: partial(stopped_error, process=mistake) for mutant, mistake in wrong.items()
        },
        share=0.5,
    )  # fmt: skip


CLAIMS = (
    _claim(
        "tower", "14", "alpha^n q^(n)/q, n = 1, 2, 3", tower,
        {"stopped-a-power-less": tower_without_a_power},
    ),
    _claim(
        "translation", "14", "L_t(h)", translation,
        {
            "stopped-h-unscaled": partial(translation, scaled=False),
            "stopped-log-ratio": log_of_translation,
        },
    ),
    _claim(
        "mean", "14", "E[x_0|x_t]", Diffusion.posterior_mean,
        {"stopped-noise-for-data": Diffusion.noise_prediction},
    ),
    _claim(
        "probabilities", "14", "P(k|x_t)", Diffusion.component_probabilities,
        {"stopped-squares": lambda of, x, t: of.component_probabilities(x, t) ** 2},
    ),
)  # fmt: skip
