"""Which mistake makes ``time_of`` of a schedule give another time than that of the log-SNR."""

import math

import torch
from torch import Tensor

from theory.diffusion.schedules import Schedule
from toy.falsifier.mistakes import AGREES, constant_factor
from toy.falsifier.schedule_terms import of_time_alone
from toy.falsifier.sums import sum_of_terms


def inverse_mistakes(schedule: Schedule, t: Tensor, u: Tensor) -> dict[str, Tensor]:
    """The log-SNRs of the times that each mistake gives.

    They are those that came where the mistake fits all of them, and else not known (NaN).

    Args:
        schedule: whose log-SNR is inverted.
        t: times, (n,).
        u: what ``time_of`` gives for the log-SNRs of these times, (n,).
    """
    low, high = schedule.t_min, schedule.t_max
    alpha, sigma = schedule.alpha(u), schedule.sigma(u)
    log_snr, back = log_ratio(schedule.alpha(t), schedule.sigma(t)), log_ratio(alpha, sigma)
    factor, kept = constant_factor(u, t), u.isfinite() & _near(u, t)
    fits = {
        "time_of gives t_min + t_max - t": _near(u, low + high - t).all(),
        f"time_of is {factor}": torch.tensor(bool(factor)),
        f"time_of never leaves {u.min():.6g} to {u.max():.6g}: a clamp": _stands(u, kept),
        "time_of takes alpha(t) for alpha^2: it inverts the log-SNR of sqrt(alpha) and sigma":
            _near(log_ratio(alpha.sqrt(), sigma), log_snr).all(),
        "time_of takes sigma(t) for sigma^2: it inverts the log-SNR of alpha and sqrt(sigma)":
            _near(log_ratio(alpha, sigma.sqrt()), log_snr).all(),
        "time_of inverts the log-SNR of sqrt(1 - sigma^2) and sigma, and alpha(t) is another":
            _near(log_ratio((1 - sigma**2).sqrt(), sigma), log_snr).all(),
        "time_of inverts the log-SNR of alpha and sqrt(1 - alpha^2), and sigma(t) is another":
            _near(log_ratio(alpha, (1 - alpha**2).sqrt()), log_snr).all(),
    }  # fmt: skip
    if not any(fits.values()) and (formula := sum_of_terms(u, of_time_alone(t))) not in ("", "t"):
        fits[f"time_of gives {formula} for t"] = torch.tensor(True)
    unknown = torch.full_like(back, math.nan)
    return {name: back if fit else unknown for name, fit in fits.items()}


def log_ratio(alpha: Tensor, sigma: Tensor) -> Tensor:
    """2 log(alpha/sigma)."""
    return 2 * (alpha.log() - sigma.log())


def _near(found: Tensor, wanted: Tensor) -> Tensor:
    return found.isfinite() & ((found - wanted).abs() <= AGREES * (found.abs() + wanted.abs()))


def _stands(u: Tensor, kept: Tensor) -> Tensor:
    """Whether times that are not kept stand at the ends of all that are given."""
    at_an_end = (u == u.min()) | (u == u.max())
    return kept.any() & ~kept.all() & (kept | at_an_end).all()
