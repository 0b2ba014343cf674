"""Terms of whose sums the functions of a schedule may be made, and the right sums."""

from collections.abc import Mapping

import torch
from torch import Tensor

from toy.falsifier.sums import products, times

RIGHT = {
    "d_alpha": "alpha'",
    "d_sigma": "sigma'",
    "log_snr": "2 log(alpha) - 2 log(sigma)",
    "d_log_snr": "2 alpha'/alpha - 2 sigma'/sigma",
    "drift": "alpha'/alpha",
    "diffusion_sq": "2 sigma sigma' - 2 sigma^2 alpha'/alpha",
    "A of transition(s, t)": "alpha_t/alpha_s",
    "V of transition(s, t)": "sigma_t^2 - alpha_t^2 sigma_s^2/alpha_s^2",
}
"""Each function by its name."""

OF_LOG_SNR = "(log-SNR)'"
"""The name of the slope of the log-SNR, in which some other slopes are told."""


def of_time(
    quantity: str, t: Tensor, scales: Mapping[str, Tensor], slopes: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Of which a function of one time may be made, the likely terms first, (n,) each.

    Args:
        quantity: the function.
        t: times (n,).
        scales: alpha and sigma at these, by name.
        slopes: their derivatives.
    """
    of_scales = products(scales, size=4)
    if quantity == "log_snr":
        return _logarithms(scales) | {"t": t} | of_scales
    with_slopes = times({"1": torch.ones_like(t), **slopes}, of_scales)
    powers = {"t": t, "t^2": t**2, "t^3": t**3, "(1 - t)": 1 - t, "1/t": 1 / t}
    foreign = [slope for slope in slopes if slope not in RIGHT[quantity]]
    terms = with_slopes | times(with_slopes, powers)
    likely = sorted(terms.items(), key=lambda item: any(slope in item[0] for slope in foreign))
    if quantity == "d_log_snr":
        return dict(likely)
    alpha, sigma = (slopes[f"{name}'"] / scale for name, scale in scales.items())
    return dict(likely) | {OF_LOG_SNR: 2 * (alpha - sigma)}


def _logarithms(scales: Mapping[str, Tensor]) -> dict[str, Tensor]:
    logs = {f"log({name})": value.log() for name, value in scales.items()}
    return {"log(alpha^2/sigma^2)": 2 * (logs["log(alpha)"] - logs["log(sigma)"])} | logs


def of_transitions(scales: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Powers of alpha and sigma at both times, and roots of them, (n,) each."""
    few = products(scales, size=2)
    return products(scales, size=4) | {f"sqrt({name})": value.sqrt() for name, value in few.items()}


def of_time_alone(t: Tensor) -> dict[str, Tensor]:
    """What may be taken for a time, (n,) each."""
    return {
        "t": t, "1": torch.ones_like(t), "t^2": t**2, "sqrt(t)": t.sqrt(), "1/t": 1 / t,
        "t^3": t**3, "log(t)": t.log(), "exp(t)": t.exp(),
    }  # fmt: skip
