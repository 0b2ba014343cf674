"""One function h(t) in place of a shift per time: a smoother in log-SNR.

The bound falls by int w (2 h.eta - |h|^2) dlambda under a shift h. Its best h within a span of
basis functions phi_j(lambda) is the weighted least-squares projection of eta, under which it falls
by int w |h|^2: never more than the int w |eta|^2 of a shift per time, and as much exactly where eta
lies in the span. In return there are fewer numbers to estimate.
"""

import torch
from jaxtyping import Float64, Real
from torch import Tensor

from theory.support.errors import InputError


def basis(log_snr: Float64[Tensor, "time"], degree: int) -> Float64[Tensor, "time basis"]:
    """Chebyshev polynomials of degree 0 to ``degree`` on the range of the log-SNRs, (T, degree + 1).

    Raises:
        InputError: more functions than distinct log-SNRs.
    """
    distinct = len(log_snr.unique())
    if not 0 <= degree < distinct:
        raise InputError(f"degree: expected from 0 to {distinct - 1}, got {degree}")
    low, high = log_snr.min().item(), log_snr.max().item()
    return chebyshev(log_snr, low, high, degree)


def chebyshev(
    log_snr: Real[Tensor, "time"], low: float, high: float, degree: int
) -> Float64[Tensor, "time basis"]:
    """Chebyshev polynomials of degree 0 to ``degree`` on [low, high], (T, degree + 1).

    They are cos(j arccos u), where u in [-1, 1] is the place between the ends; 0 if these are one.
    """
    middle, half = (low + high) / 2, (high - low) / 2
    share = (log_snr.double() - middle) / half if half else torch.zeros_like(log_snr.double())
    degrees = torch.arange(degree + 1, dtype=torch.float64, device=share.device)
    return torch.cos(torch.outer(torch.arccos(share.clamp(-1, 1)), degrees))


def amortize(
    eta: Float64[Tensor, "time *shape"],
    weights: Float64[Tensor, "time"],
    functions: Float64[Tensor, "time basis"],
) -> Float64[Tensor, "time *shape"]:
    """The projection h of eta (T, *shape) on the span of the functions (T, J), weighted by (T,).

    Raises:
        InputError: a weight that is not positive.
    """
    if not (weights > 0).all():
        raise InputError("weights: expected positive numbers")
    root = weights.sqrt()[:, None]
    orthonormal, _ = torch.linalg.qr(root * functions)
    target = root * eta.flatten(1)
    return (orthonormal @ (orthonormal.T @ target) / root).reshape(eta.shape)


def bound_fall(
    shift: Float64[Tensor, "time *shape"],
    eta: Float64[Tensor, "time *shape"],
    weights: Float64[Tensor, "time"],
) -> Float64[Tensor, ""]:
    """sum_t w_t (2 h_t.eta_t - |h_t|^2), by how much a shift lowers the bound."""
    return weights @ (2 * shift * eta - shift**2).flatten(1).sum(1)
