"""One function h(t) in place of a shift per time: a smoother in log-SNR.

The bound falls by int w (2 h.eta - |h|^2) dlambda under a shift h. Its best h within a span of
basis functions phi_j(lambda) is the weighted least-squares projection of eta, under which it falls
by int w |h|^2: never more than the int w |eta|^2 of a shift per time, and as much exactly where eta
lies in the span. In return there are fewer numbers to estimate.
"""

import numpy as np
import torch
from jaxtyping import Float64
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
    low, high = log_snr.min(), log_snr.max()
    share = (2 * log_snr - low - high) / (high - low) if distinct > 1 else torch.zeros_like(log_snr)
    return torch.from_numpy(np.polynomial.chebyshev.chebvander(share.numpy(), degree))


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
