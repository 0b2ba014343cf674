"""The amortized shift of Pang et al. (2023, section 3.4): one small network h(t) for all times.

It is trained on what the estimates at some times say, by their precision:

    min_h sum_t w_t |h(lambda_t) - eta_hat_t|^2,    w_t = 1 / E|eta_hat_t - eta_t|^2,

which in the limit of exact estimates is the paper's regression of the score on time alone. It is an
alternative to the smoothing spline of ``theory.statistics.smoothing``, which needs no training.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from theory.support.errors import InputError

HIDDEN = 64
FREQUENCIES = 2
STEPS = 400
LEARNING_RATE = 1e-2
"""So few that the network cannot follow the noise of every single time."""

Amortized = Callable[[Tensor], Tensor]
"""From log-SNRs (k,) to shifts (k, *shape)."""


def fit_network(
    log_snr: Float64[Tensor, "time"],
    estimates: Float64[Tensor, "time *shape"],
    error_energy: Float64[Tensor, "time"],
    seed: int,
) -> Amortized:
    """Train h on estimates (T, *shape) with these error energies.

    h is a network of two hidden layers on the first few Fourier features of the log-SNR, scaled to
    the range of its times; trained in full batches, from weights drawn from the seed.

    Raises:
        InputError: an infinite log-SNR, fewer than two of them, or an error that is not positive.
    """
    if not log_snr.isfinite().all() or len(log_snr.unique()) < 2:
        raise InputError("log-SNR: expected at least two finite ones")
    if not (error_energy > 0).all():
        raise InputError("error energy: expected positive numbers")
    low, high = log_snr.min(), log_snr.max()
    shape = estimates.shape[1:]
    scale = estimates.square().mean().sqrt().clamp(min=torch.finfo(torch.float64).tiny)
    target = (estimates / scale).flatten(1)
    weights = 1 / error_energy
    weights = (weights / weights.sum())[:, None]
    network = _network(target.shape[1], seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    features = _features(log_snr, low, high)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = (weights * (network(features) - target).square()).sum()
        loss.backward()
        optimizer.step()
        rate.step()

    @torch.no_grad()
    def amortized(at: Tensor) -> Tensor:
        """h at these log-SNRs."""
        return (scale * network(_features(at, low, high))).reshape(-1, *shape)

    return amortized


def _features(log_snr: Tensor, low: Tensor, high: Tensor) -> Tensor:
    share = (2 * log_snr - low - high) / (high - low)
    angles = torch.pi / 2 * torch.outer(share, torch.arange(1, FREQUENCIES + 1).double())
    return torch.cat([share[:, None], torch.sin(angles), torch.cos(angles)], 1)


def _network(outputs: int, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    sizes = (1 + 2 * FREQUENCIES, HIDDEN, HIDDEN, outputs)
    layers: list[nn.Module] = []
    for inputs, width in pairwise(sizes):
        layer = nn.utils.skip_init(nn.Linear, inputs, width, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.normal_(0, inputs**-0.5, generator=generator)
            layer.bias.zero_()
        layers += [layer, nn.SiLU()]
    return nn.Sequential(*layers[:-1])
