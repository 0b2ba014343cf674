"""The claims, on a schedule or a model that a user brings (``toy.brought``).

Nothing is asked of what is brought but what is tried: times are found by bisection of the log-SNR,
and a schedule whose log-SNR does not decrease is tried no further.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from theory.errors import InputError
from theory.evidence import Evidence
from theory.schedules import Schedule
from theory.targets import NOISE, SCORE, convert, shift_factor
from toy import probes, strategies
from toy.brought import Formula, Model, described
from toy.claims import martingale, schedules
from toy.claims.base import Claim, ExactClaim
from toy.diffusion import as_time
from toy.probes import Point
from toy.quadrature import expectation
from toy.strategies import TimePair
from toy.verify import Verdict, verify


@dataclass(frozen=True)
class Probe:
    """A model, two times s < t, and a point x_t (d,)."""

    model: Model
    s: float
    t: float
    x_t: Tensor


def decreasing_error(pair: TimePair) -> float:
    """0 where alpha, sigma > 0 are finite and the log-SNR falls from s to t, else infinite."""
    schedule, times = pair.schedule, torch.tensor([pair.s, pair.t], dtype=torch.float64)
    scales = torch.stack([schedule.alpha(times), schedule.sigma(times)])
    log_snr = schedule.log_snr(times)
    fine = bool((scales > 0).all() and scales.isfinite().all() and log_snr[1] < log_snr[0])
    return 0.0 if fine else math.inf


def prediction_error(probe: Probe) -> float:
    """|y_theta - E[y|x_t]|, in noise form, relative to 1 + |E[e|x_t]|."""
    model, t, diffusion = probe.model, probe.t, probe.model.diffusion
    noise = diffusion.noise_prediction(probe.x_t, t)
    a, b = model.target.coefficients(diffusion.schedule, as_time(t))
    exact = a * diffusion.posterior_mean(probe.x_t, t) + b * noise
    factor = shift_factor(as_time(t), model.target, NOISE, diffusion.schedule)
    difference = factor * (model.at(probe.x_t[None], t)[0] - exact)
    return (difference.abs().max() / (1 + noise.abs().max())).item()


def mean_error(probe: Probe) -> float:
    """|E[y_theta] - A E[x_0]| relative to E|y_theta| and to what E[y|x_t] adds up, under q_t."""
    model, t, diffusion = probe.model, probe.t, probe.model.diffusion
    a, _ = model.target.coefficients(diffusion.schedule, as_time(t))
    mean = a * diffusion.data.mean()
    size = diffusion.target_size(model.target, t)
    integral = expectation(diffusion.marginal(t), lambda x: model.at(x, t), size=size)
    return ((integral.value - mean).abs().max() / (integral.magnitude.max() + size)).item()


def martingale_error(probe: Probe) -> float:
    """|E[M_s(x_s)|x_t] - M_t(x_t)| relative to E[|M_s||x_t], M of the model's own score."""
    model, diffusion = probe.model, probe.model.diffusion

    def scaled_score(x: Tensor, t: float) -> Tensor:
        score = convert(model.at(x, t), x, as_time(t), model.target, SCORE, diffusion.schedule)
        return diffusion.scales(t)[0] * score

    kernel = diffusion.reverse_kernel(probe.x_t, probe.s, probe.t)
    integral = expectation(kernel, lambda x: scaled_score(x, probe.s))
    difference = integral.value - scaled_score(probe.x_t[None], probe.t)[0]
    return (difference.abs().max() / integral.magnitude.max().clamp(min=1e-300)).item()


def schedule_claims(schedule: Schedule) -> tuple[Claim, ...]:
    """What must hold of any schedule; the first is what the others presuppose."""
    pairs = probes.times_found(schedule)
    lines = strategies.reverse_cases(1, reach=4.0, least=0.3, pairs=pairs)
    decreasing = ExactClaim(
        "decreasing", "0", "alpha, sigma > 0 and the log-SNR falls",
        probes.times_between(schedule), decreasing_error, (),
    )  # fmt: skip
    of_pairs = [replace(claim, strategy=pairs, mutants=()) for claim in _by_id(schedules.CLAIMS)]
    of_cases = [replace(claim, strategy=lines, mutants=()) for claim in _by_id(martingale.CLAIMS)]
    return (decreasing, *of_pairs, *of_cases)


TRIED = ("derivatives", "inverse", "transitions", "zero-mean", "martingale-1d")
"""The claims on schedules and on diffusions that are tried on a schedule."""


def _by_id(claims: tuple[ExactClaim, ...]) -> list[ExactClaim]:
    return [claim for claim in claims if claim.id in TRIED]


def model_claims(brought: Model | Formula) -> tuple[Claim, ...]:
    """What must hold of an exact model: of its own diffusion, or of any if it is a formula."""
    probe: Callable[[Any], Probe]
    if isinstance(brought, Formula):
        strategy: Any = strategies.reverse_cases(1, reach=4.0, least=0.3)
        dimension = 1

        def probe(case: Any) -> Probe:
            return Probe(brought.model(case.diffusion), case.times.s, case.times.t, case.x_t())
    else:
        strategy = probes.points(brought.diffusion)
        dimension = brought.diffusion.data.dimension

        def probe(case: Point) -> Probe:
            x_t = torch.tensor(case.x_t, dtype=torch.float64)
            return Probe(brought, case.s, case.t, x_t)

    checks = (
        ("prediction", "4", "the prediction is E[y|x_t]", prediction_error),
        ("mean", "4", "E[y_theta] = A E[x_0]", mean_error),
        ("martingale", "1", "alpha times its score is a martingale", martingale_error),
    )
    by_quadrature = checks if dimension <= 2 else checks[:1]
    return tuple(
        ExactClaim(name, section, says, strategy, _of_probe(error, probe), ())
        for name, section, says, error in by_quadrature
    )


def _of_probe(
    error: Callable[[Probe], float], probe: Callable[[Any], Probe]
) -> Callable[[Any], float]:
    return lambda case: error(probe(case))


def falsify(claims: Iterable[Claim], examples: int, seed: int) -> Iterator[Verdict]:
    """Each claim's verdict in turn; the others presuppose the first if it is ``decreasing``.

    Raises:
        InputError: what was brought raises an exception.
    """
    try:
        for verdict in verify(claims, examples, seed):
            yield verdict
            if _hopeless(verdict.evidence):
                return
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"what was brought fails: {described(error)}") from error


def _hopeless(evidence: Evidence) -> bool:
    return evidence.claim == "decreasing" and not evidence.passed
