"""Euler and Maruyama's chain on a mixture, whose law is carried from step to step by quadrature.

From a fixed x_t every step of the chain is Gaussian, and after n of them its density is

    p_{i+1}(y) = int N(y; x - (f x - g^2 grad log q(x)) h, g^2 h) p_i(x) dx,

computed by the trapezoid rule, which converges geometrically. Its moments and its mean of M_s are
series in h, whose limits are found by extrapolation: the exact kernel's moments, and M_t(x_t).

One step is compared with the exact kernel in the best coupling, that of equal quantiles: the mean
square distance is O(h^3). Such a local error and weak order 1 imply strong order 1 (Milstein 1987).
"""

import math
from itertools import pairwise

import torch
from scipy.special import ndtri_exp
from torch import Tensor

from theory.diffusion.euler_maruyama import euler_maruyama_step
from toy.claims.euler_maruyama import DRIFT_OF_G, G_SQUARED_NOISE, NO_DRIFT, ODE_DRIFT, Step
from toy.judge.claim import exact_claim
from toy.mixtures.diffusion import Diffusion, Process
from toy.mixtures.mixture import GaussianMixture, float64
from toy.numerics.gauss_rules import extrapolated
from toy.numerics.quadrature import expectation
from toy.numerics.relative_errors import elementwise_error, largest
from toy.strategies.mixtures import ReverseCase, reverse_cases
from toy.strategies.time_pairs import SMOOTH_SCHEDULES, near_time_pairs

CHAINS = (1, 2, 4, 8, 16)
"""Numbers of steps of the chains."""

PARTS = tuple(2**k for k in range(2, 9))
"""Numbers of parts of t - s, of which one step takes one."""

REACH = 10.0
"""How many standard deviations around the exact kernel the grid covers."""

SPACING = 0.5
"""Step of the grid, in the deviation of one step of the chain: half that of an integrand's factor."""


def one_step(
    diffusion: Diffusion, x: Tensor, s: float, t: float, step: Step
) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the chain's step from points, each (n, 1).

    Args:
        diffusion: whose score the step uses.
        x: points (n, 1).
        s, t: the times.
        step: from t to s.
    """
    law = diffusion.marginal(t)
    still, kicked = (
        step(
            lambda x, _: law.score(x), diffusion.schedule, x, float64(s), float64(t),
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


def chain_limit_error(
    case: ReverseCase, step: Step = euler_maruyama_step, process: Process = Diffusion.martingale
) -> float:
    """Limits of E x_s, E x_s^2 and E M_s along the chain, against the kernel's and M_t(x_t)."""
    diffusion, s, t, x_t = case.diffusion, case.times.s, case.times.t, case.x_t()

    def observed(x: Tensor) -> Tensor:
        """x, its square and M."""
        return torch.cat([x, x**2, process(diffusion, x, s)], 1)

    kernel = diffusion.reverse_kernel(x_t, s, t)
    exact = expectation(kernel, observed)
    target = torch.cat([exact.value[:2], process(diffusion, x_t, t)])
    laws = [chain_law(case, steps, step) for steps in CHAINS]
    means = torch.stack([weights @ observed(x) for x, weights in laws])
    limits = [extrapolated(column) for column in means.T.tolist()]
    difference = (float64(limits) - target).abs() + exact.errors
    return elementwise_error(difference, exact.magnitude)


def coupling_error(case: ReverseCase, step: Step = euler_maruyama_step) -> float:
    """The mean square distance of a step to the exact kernel has no terms 1, h, h^2.

    It is extrapolated to h = 0 times 1, n and n^2, over h = (t - s)/n, relative to the variance of
    the exact kernel from t to s.
    """
    s, t = case.times.s, case.times.t
    length, kernel = t - s, case.diffusion.reverse_kernel(case.x_t(), s, t)
    squares = [_distance_sq(case, t - length / n, step) for n in PARTS]
    scaled = ([n**k * w for n, w in zip(PARTS, squares, strict=True)] for k in range(3))
    return largest(abs(extrapolated(values)) for values in scaled) / kernel.variances.min().item()


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


CASES = reverse_cases(1, reach=2.0, least=0.5, pairs=near_time_pairs(0.02, 0.06, SMOOTH_SCHEDULES))

CLAIMS = (
    exact_claim(
        "chain-on-mixture", "1",
        "moments and the mean of M along a mixture's chain, as h tends to 0", CASES,
        chain_limit_error,
        step={
            "mixture-ode-drift": ODE_DRIFT, "mixture-g-for-g-squared": DRIFT_OF_G,
            "mixture-drift-forgotten": NO_DRIFT,
        },
        process={"chain-no-alpha": Diffusion.score}, share=0.25,
    ),
    exact_claim(
        "step-on-mixture", "1",
        "a step is O(h^(3/2)) from the exact kernel in mean square, a mixture", CASES,
        coupling_error,
        step={
            "step-ode-drift": ODE_DRIFT, "step-g-squared-noise": G_SQUARED_NOISE,
            "step-drift-forgotten": NO_DRIFT,
        },
        share=0.5,
    ),
)  # fmt: skip
