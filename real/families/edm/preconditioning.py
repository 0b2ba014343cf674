"""Denoisers D(x; sigma) around a raw network F (Karras et al. 2022, table 1).

    D(x; sigma, labels) = c_skip x + c_out F(c_in x, c_noise, labels)

The coefficients are in float32. F runs in the dtype of x where that has 16 bits, else in float32.
"""

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

Coefficients = tuple[Tensor | float | int, Tensor | float | int, Tensor | float | int, Tensor]
"""c_skip, c_out, c_in and c_noise at noise levels sigma."""


class Preconditioned(nn.Module):
    """A denoiser; its kinds differ in their coefficients.

    Args:
        model: F.
    """

    part: ClassVar[str] = "model"
    """The name of F among the parts."""

    limits: tuple[float, float]

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.add_module(self.part, model)

    @abstractmethod
    def coefficients(self, sigma: Tensor) -> Coefficients:
        """(c_skip, c_out, c_in, c_noise) for sigma (b, 1, 1, 1) in float32."""

    @property
    def sigma_range(self) -> tuple[float, float]:
        """The least and the greatest noise level that the network takes."""
        return self.limits

    def forward(
        self,
        x: Float[Tensor, "b c r r"],
        sigma: Float[Tensor, "b"],
        class_labels: Float[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b c r r"]:
        """D(x; sigma, labels) in float32; class labels are one-hot, all zero for no class."""
        level = sigma.to(torch.float32).reshape(-1, 1, 1, 1)
        c_skip, c_out, c_in, c_noise = self.coefficients(level)
        full, half = x.to(torch.float32), x.dtype in (torch.float16, torch.bfloat16)
        scaled = (c_in * full).to(x.dtype if half else torch.float32)
        raw = getattr(self, self.part)(scaled, c_noise.flatten(), class_labels)
        return c_skip * full + c_out * raw[:, : x.shape[1]].to(torch.float32)


class VPPreconditioned(Preconditioned):
    """Denoiser around a variance-preserving network, which predicts the noise at time (M - 1) t(sigma).

    sigma(t) = sqrt(exp(beta_d t^2 / 2 + beta_min t) - 1), for epsilon_t <= t <= 1.
    """

    def __init__(
        self,
        model: nn.Module,
        beta_d: float | int = 19.9,
        beta_min: float | int = 0.1,
        M: int = 1000,
        epsilon_t: float = 1e-5,
    ) -> None:
        super().__init__(model)
        self.beta_d, self.beta_min, self.steps = beta_d, beta_min, M
        t = torch.tensor([epsilon_t, 1.0], dtype=torch.float32, device="cpu")
        sigma = ((0.5 * beta_d * t**2 + beta_min * t).exp() - 1).sqrt()
        self.limits = (float(sigma[0]), float(sigma[1]))

    def coefficients(self, sigma: Tensor) -> Coefficients:
        """(1, -sigma, 1 / sqrt(sigma^2 + 1), (M - 1) t(sigma))."""
        root = (self.beta_min**2 + 2 * self.beta_d * (1 + sigma**2).log()).sqrt()
        t = (root - self.beta_min) / self.beta_d
        return 1, -sigma, 1 / (sigma**2 + 1).sqrt(), (self.steps - 1) * t


class VEPreconditioned(Preconditioned):
    """Denoiser around a variance-exploding network, which predicts minus the noise at log(sigma / 2)."""

    def __init__(
        self, model: nn.Module, sigma_min: float | int = 0.02, sigma_max: float | int = 100
    ) -> None:
        super().__init__(model)
        self.limits = (float(sigma_min), float(sigma_max))

    def coefficients(self, sigma: Tensor) -> Coefficients:
        """(1, sigma, 1, log(sigma / 2))."""
        return 1, sigma, 1, (0.5 * sigma).log()


class IDDPMPreconditioned(Preconditioned):
    """Denoiser around an improved-DDPM network: the noise, at the table's level nearest to sigma.

    The file holds the table ``u`` of M + 1 noise levels, which falls from sigma_max to 0.
    """

    u: Tensor

    def __init__(self, model: nn.Module, M: int = 1000) -> None:
        super().__init__(model)
        self.register_buffer("u", torch.empty(M + 1))

    def coefficients(self, sigma: Tensor) -> Coefficients:
        """(1, -sigma, 1 / sqrt(sigma^2 + 1), M - 1 - j) for the nearest level u_j."""
        distance = (sigma.reshape(-1, 1) - self.u.to(torch.float32)).abs()
        index = distance.argmin(1).reshape(sigma.shape)
        steps = len(self.u) - 1
        return 1, -sigma, 1 / (sigma**2 + 1).sqrt(), (steps - 1 - index).to(torch.float32)

    @property
    def sigma_range(self) -> tuple[float, float]:
        """(u_{M-1}, u_0), from the table in the file."""
        return float(self.u[-2]), float(self.u[0])


class EDMPreconditioned(Preconditioned):
    """Denoiser around one of EDM's own networks."""

    def __init__(
        self,
        model: nn.Module,
        sigma_min: float | int = 0,
        sigma_max: float | int = math.inf,
        sigma_data: float | int = 0.5,
    ) -> None:
        super().__init__(model)
        self.limits, self.sigma_data = (float(sigma_min), float(sigma_max)), sigma_data

    def coefficients(self, sigma: Tensor) -> Coefficients:
        """Those that give F inputs and targets of unit variance; c_noise = log(sigma) / 4."""
        total = sigma**2 + self.sigma_data**2
        c_skip = self.sigma_data**2 / total
        return c_skip, sigma * self.sigma_data / total.sqrt(), 1 / total.sqrt(), sigma.log() / 4
