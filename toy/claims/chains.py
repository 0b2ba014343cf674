"""Euler and Maruyama's chain on a mixture: its law is carried from step to step by quadrature.

From a fixed x_t every step of the chain is Gaussian, and after n of them its density is

    p_{i+1}(y) = int N(y; x - (f x - g^2 grad log q(x)) h, g^2 h) p_i(x) dx,

here by the trapezoid rule, which converges geometrically. Its moments and its mean of M_s are series
in h, so that their limits are found by extrapolation: the exact kernel's moments, and M_t(x_t).

One step is held against the exact kernel in the best coupling, that of equal quantiles: the mean
square distance is O(h^3). Such a local error and weak order 1 make strong order 1 (Milstein 1987).
"""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from scipy.special import ndtri_exp
from torch import Tensor

from theory.diffusion.euler_maruyama import euler_maruyama_step
from toy.claims.dynamics import G_SQUARED_NOISE, NO_DRIFT, ODE_DRIFT, Step, drift_g
from toy.claims.likelihood import extrapolated
from toy.judge.claim import ExactClaim, Mutant
from toy.mixtures.diffusion import Diffusion, as_time
from toy.mixtures.mixture import GaussianMixture
from toy.numerics.quadrature import expectation
from toy.strategies import mixtures as strategies
from toy.strategies import models as model_strategies
from toy.strategies.mixtures import ReverseCase

CHAINS = (1, 2, 4, 8, 16)
STEPS = tuple(2**k for k in range(2, 9))
REACH = 10.0
"""How many standard deviations around the exact kernel the grid covers."""

SPACING = 0.5
"""Step of the grid, in the deviation of one step of the chain: half that of an integrand's factor."""


def one_step(
    diffusion: Diffusion, x: Tensor, s: float, t: float, step: Step
) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the chain's step from points x (n, 1), each (n, 1)."""
    law = diffusion.marginal(t)
    still, kicked = (
        step(
            lambda x, _: law.score(x), diffusion.schedule, x, as_time(s), as_time(t),
            torch.full_like(x, noise),
        )
        for noise in (0.0, 1.0)
    )  # fmt: skip
    return still, kicked - still


def chain_law(case: ReverseCase, steps: int, step: Step) -> tuple[Tensor, Tensor]:
    """Points (n, 1) and the chain's probabilities there (n,), after so many equal steps from x_t."""
    diffusion, x_t = case.diffusion, case.x_t()[None]
    times = torch.linspace(case.times.t, case.times.s, steps + 1, dtype=torch.float64).tolist()
    mean, deviation = one_step(diffusion, x_t, times[1], times[0], step)
    x = _grid(case, x_t, deviation.item(), steps)
    density = _normal(x.T, mean, deviation)[0]
    spacing = (x[-1] - x[0]).item() / (len(x) - 1)
    for t, s in pairwise(times[1:]):
        mean, deviation = one_step(diffusion, x, s, t, step)
        density = spacing * density @ _normal(x.T, mean, deviation)
    return x, spacing * density


def _grid(case: ReverseCase, x_t: Tensor, deviation: float, steps: int) -> Tensor:
    kernel = case.diffusion.reverse_kernel(x_t[0], case.times.s, case.times.t)
    spread = max(kernel.variances.max().sqrt().item(), deviation * math.sqrt(steps))
    ends = torch.cat([kernel.means, x_t])
    low, high = ends.min().item() - REACH * spread, ends.max().item() + REACH * spread
    count = math.ceil((high - low) / (SPACING * deviation))
    return torch.linspace(low, high, count, dtype=torch.float64)[:, None]


def _normal(y: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Densities at y (1, m) from means and deviations (n, 1), (n, m)."""
    z = (y - mean) / deviation
    return torch.exp(-z * z / 2) / (deviation * math.sqrt(2 * math.pi))


Process = Callable[[Diffusion, Tensor, float], Tensor]


def chain_error(
    case: ReverseCase,
    step: Step = euler_maruyama_step,
    process: Process = Diffusion.martingale,
) -> float:
    """E x_s, E x_s^2 and E M_s along the chain, extrapolated, against the kernel's and M_t(x_t)."""
    diffusion, s, t, x_t = case.diffusion, case.times.s, case.times.t, case.x_t()

    def observed(x: Tensor) -> Tensor:
        return torch.cat([x, x**2, process(diffusion, x, s)], 1)

    kernel = diffusion.reverse_kernel(x_t, s, t)
    exact = expectation(kernel, observed)
    target = torch.cat([exact.value[:2], process(diffusion, x_t, t)])
    laws = [chain_law(case, steps, step) for steps in CHAINS]
    means = torch.stack([weights @ observed(x) for x, weights in laws])
    limits = [extrapolated(column) for column in means.T.tolist()]
    difference = (torch.tensor(limits, dtype=torch.float64) - target).abs() + exact.errors
    return (difference / exact.magnitude.clamp(min=1e-300)).max().item()


def coupling_error(case: ReverseCase, step: Step = euler_maruyama_step) -> float:
    """The mean square distance of a step to the exact kernel has no terms 1, h, h^2.

    Over h = (t - s)/n for growing n, it is extrapolated to h = 0 times 1, n and n^2, relative to the
    variance of the whole of t - s.
    """
    s, t = case.times.s, case.times.t
    length, kernel = t - s, case.diffusion.reverse_kernel(case.x_t(), s, t)
    squares = [_distance_sq(case, t - length / n, step) for n in STEPS]
    scaled = ([n**k * w for n, w in zip(STEPS, squares, strict=True)] for k in range(3))
    return max(abs(extrapolated(values)) for values in scaled) / kernel.variances.min().item()


def _distance_sq(case: ReverseCase, s: float, step: Step) -> float:
    """int (x - mean - deviation Phi^{-1}(F(x)))^2 dF(x), F the exact kernel's distribution."""
    diffusion, t, x_t = case.diffusion, case.times.t, case.x_t()
    mean, deviation = one_step(diffusion, x_t[None], s, t, step)
    kernel = diffusion.reverse_kernel(x_t, s, t)
    coupled = expectation(
        kernel,
        lambda x: (x - mean - deviation * _quantile(kernel, x)) ** 2,
        size=(mean**2 + deviation**2).item(),
    )
    return coupled.value.item()


def _quantile(law: GaussianMixture, x: Tensor) -> Tensor:
    """Phi^{-1}(F(x)) at points (n, 1), from the smaller of the two tails."""
    z = (x - law.means[:, 0]) / law.variances[:, 0].sqrt()
    below, above = (
        torch.logsumexp(law.log_weights + torch.special.log_ndtr(sign * z), -1) for sign in (1, -1)
    )
    small = torch.from_numpy(ndtri_exp(torch.minimum(below, above).numpy()))
    return torch.where(below < above, small, -small)[:, None]


def _without_alpha(diffusion: Diffusion, x: Tensor, t: float) -> Tensor:
    return diffusion.marginal(t).score(x)


CASES = strategies.reverse_cases(
    1,
    reach=2.0,
    least=0.5,
    pairs=model_strategies.near_times(0.02, 0.06, model_strategies.smooth()),
)

CLAIMS = (
    ExactClaim(
        "chain-on-mixture", "1", "moments and the mean of M along a mixture's chain, as h tends to 0",
        CASES, chain_error,
        (
            Mutant("mixture-ode-drift", lambda c: chain_error(c, ODE_DRIFT)),
            Mutant("mixture-g-for-g-squared", lambda c: chain_error(c, drift_g)),
            Mutant("mixture-drift-forgotten", lambda c: chain_error(c, NO_DRIFT)),
            Mutant("chain-no-alpha", lambda c: chain_error(c, process=_without_alpha)),
        ),
        share=0.25,
    ),
    ExactClaim(
        "step-on-mixture", "1", "a step is O(h^(3/2)) from the exact kernel in mean square, a mixture",
        CASES, coupling_error,
        (
            Mutant("step-ode-drift", lambda c: coupling_error(c, ODE_DRIFT)),
            Mutant("step-g-squared-noise", lambda c: coupling_error(c, G_SQUARED_NOISE)),
            Mutant("step-drift-forgotten", lambda c: coupling_error(c, NO_DRIFT)),
        ),
        share=0.5,
    ),
)  # fmt: skip
