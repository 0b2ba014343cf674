"""The shift recorded while a network is trained: dynamic recording, Pang et al. (2023, section 3.4).

The paper trains a second network h(t) beside the first, on E|y_theta - y - h(t)|^2 with the gradient
stopped at y_theta. The same regression on a few functions phi of the log-SNR needs no training:

    h(lambda) = phi(lambda).A^-1 B,    A = E phi phi^T,    B = E phi r^T,    r = y_theta - y,

where E is over the batches seen, the older the less: with the weights that the moving average of the
network's weights gives to the same steps. For a network that is linear in its weights h is then the
projection of the averaged network's own eta; for any other it is so to first order in how far the
weights move within the average.
"""

from math import prod
from typing import Any

import torch
from jaxtyping import Float, Float64, Real
from torch import Tensor

from theory.estimators.amortized_basis import chebyshev
from theory.support.errors import InputError

DEGREE = 8
"""Of the polynomials in log-SNR."""


class ShiftRecorder:
    """Running least squares of a network's errors on the log-SNR of their times.

    Args:
        lowest, highest: of all log-SNRs that will be observed.
        shape: of one image.
        degree: of the polynomials in log-SNR.
        device: where the errors are.

    Raises:
        InputError: ends that are not finite and apart.
    """

    def __init__(
        self,
        lowest: float,
        highest: float,
        shape: tuple[int, ...],
        degree: int = DEGREE,
        device: Any = None,
    ) -> None:
        if not -torch.inf < lowest < highest < torch.inf:
            raise InputError(f"log-SNR: expected two finite ends, got {lowest:g} and {highest:g}")
        self.ends, self.shape, self.degree = (lowest, highest), shape, degree
        size, settings = degree + 1, {"dtype": torch.float64, "device": device}
        self._gram = torch.zeros(size, size, **settings)
        self._products = torch.zeros(size, prod(shape), **settings)
        self._spread = torch.zeros(size, size, **settings)

    def observe(
        self, log_snr: Real[Tensor, "b"], errors: Float[Tensor, "b *shape"], kept: float
    ) -> None:
        """Take in a batch.

        Args:
            log_snr: (b,), of the times.
            errors: (b, *shape), predictions less what they should be.
            kept: the share that all earlier batches keep; this one has the rest.
        """
        functions, r = self._functions(log_snr), errors.flatten(1).double()
        share = (1 - kept) / len(r)
        energies = r.square().sum(1, keepdim=True)
        self._gram.mul_(kept).add_(functions.T @ functions, alpha=share)
        self._products.mul_(kept).add_(functions.T @ r, alpha=share)
        self._spread.mul_(kept**2).add_(functions.T @ (energies * functions), alpha=share**2)

    def shift(self, log_snr: Real[Tensor, "k"]) -> Float64[Tensor, "k *shape"]:
        """h at these log-SNRs."""
        values = self._functions(log_snr) @ self._inverse() @ self._products
        return values.reshape(-1, *self.shape)

    def error_energy(self, log_snr: Real[Tensor, "k"]) -> Float64[Tensor, "k"]:
        """E|h - E h|^2 at these log-SNRs, from above: errors of one draw count with their mean.

        The sandwich estimator of White (1980), "A Heteroskedasticity-Consistent Covariance Matrix
        Estimator". It is that of the draws; the images are the network's own.
        """
        rows = self._functions(log_snr) @ self._inverse()
        return ((rows @ self._spread) * rows).sum(1)

    def state(self) -> dict[str, Tensor]:
        """All that was taken in, for a run that goes on later."""
        return {"gram": self._gram, "products": self._products, "spread": self._spread}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from what ``state`` returned."""
        for own, stored in zip(self.state().values(), state.values(), strict=True):
            own.copy_(stored)

    def _functions(self, log_snr: Tensor) -> Tensor:
        return chebyshev(log_snr.to(self._gram), *self.ends, self.degree)

    def _inverse(self) -> Tensor:
        return torch.linalg.pinv(self._gram, hermitian=True)
