"""Control variates: what is averaged over images to estimate eta_t = E[y_theta] - A_t E[x_0].

Every unit below has mean eta_t; they differ in variance, which is the whole difference between a
shift that is signal and a shift that is noise. With r = y_theta - y the residual of a draw, e its
noise and x_0 its image:

    plain        y_theta - A x_0                    variance about the dimension (Pang et al. 2023)
    residual     r                                  variance the denoising loss
    regression   r - beta e - gamma (x_0 - mu)      what of r no linear map per pixel explains
    scalar       the same, one beta and one gamma   what of r no multiple of e and x_0 explains

The control variates are e and x_0. E[e] = 0 exactly. mu is the mean of all the images there are: it
costs no network evaluation, and matters where the network sees only some of them. beta and gamma
are fitted per pixel on the other groups of images (cross-fitting), so that they cannot bias the
mean.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.estimators.device_sums import Sums
from theory.forward.forward_pass import GROUPS, Observation, tells_noise
from theory.forward.survey import MeanImage
from theory.statistics.moments import Contrast, Moments


class Collector(Sums):
    """Takes in observations of one time; gives the moments of the units that are averaged."""

    @abstractmethod
    def moments(self, everyone: "MeanImage | None") -> Moments:
        """Moments of the units, given the mean of all images where only some were observed."""

    def noise_slope(self) -> Float64[Tensor, "group *shape"]:
        """What multiple of the noise is taken off each group's residuals, broadcastable."""
        return torch.zeros(GROUPS, 1, dtype=torch.float64)

    def expect_(self, draws: int) -> None:
        """Make room for observations of so many draws, if they need more."""


@dataclass(frozen=True)
class Estimator:
    """A name, and the collector of its units for images of a shape."""

    name: str
    collector: Callable[[tuple[int, ...]], Collector]


class PlainAverage(Collector):
    """Averages a unit, given per draw, that needs no fitting."""

    def __init__(self, shape: tuple[int, ...], unit: Callable[[Observation], Tensor]) -> None:
        self.unit, self.sums = unit, Moments.empty(shape, GROUPS)
        self.noise = Moments.empty(shape, GROUPS)

    def add_(self, seen: Observation) -> None:
        """Take in an observation, in place. An image must not come twice."""
        seen = self.beside(seen)
        per_draw = self.unit(seen)
        self.sums.add_(seen.group, per_draw.mean(0))
        if seen.tells_noise:
            self.noise.add_(seen.group, seen.contrast(per_draw))

    def moments(self, everyone: MeanImage | None) -> Moments:
        """Moments of the units; with a contrast where every image had draws enough."""
        if self.noise.n < self.sums.n:
            return self.sums
        return replace(self.sums, contrast=Contrast(self.noise.total, self.noise.square))


Pooling = Callable[[Tensor], Tensor]
"""From sums per pixel (..., *shape) to those that a coefficient is fitted on, broadcastable."""


class ControlVariates(Collector):
    """Averages r - beta e - gamma (x_0 - mu), beta and gamma from the other groups of images.

    Per group and pixel it keeps sums of (r, e, x) and of their six products, and the like of the
    contrast of r and e where there are draws enough.
    """

    def __init__(self, shape: tuple[int, ...], pooling: Pooling) -> None:
        self.pooling = pooling
        self.count = torch.zeros(GROUPS, dtype=torch.float64)
        self.noise_count = torch.zeros(GROUPS, dtype=torch.float64)
        self.sums = torch.zeros(GROUPS, 3, *shape, dtype=torch.float64)
        self.products = torch.zeros(GROUPS, 6, *shape, dtype=torch.float64)
        self.noise: Tensor | None = None

    def add_(self, seen: Observation) -> None:
        """Take in an observation, in place. An image must not come twice."""
        seen = self.beside(seen)
        r, e, x = seen.residual.mean(0), seen.noise.mean(0), seen.x_0
        member = seen.members()
        self.count += member.sum(1)
        _add(self.sums, member, r, e, x)
        _add(self.products, member, r * r, e * e, x * x, r * e, r * x, e * x)
        self.expect_(len(seen.prediction))
        if seen.tells_noise and self.noise is not None:
            r, e = seen.contrast(seen.residual), seen.contrast(seen.noise)
            _add(self.noise, member, r, e, r * r, e * e, r * e)
            self.noise_count += member.sum(1)

    def expect_(self, draws: int) -> None:
        """Make room for the contrast, if so many draws have one."""
        if tells_noise(draws) and self.noise is None:
            self.noise = self.sums.new_zeros(GROUPS, 5, *self.sums.shape[2:])

    def moments(self, everyone: MeanImage | None) -> Moments:
        """Moments of r - beta e - gamma (x_0 - mu), mu being the mean of everyone."""
        count = self.count.reshape(-1, *[1] * (self.sums.dim() - 2))
        beta, gamma = self._coefficients(count)
        r, e, x = self.sums.unbind(1)
        mu = torch.zeros_like(x[0])
        if everyone is None:
            gamma = torch.zeros_like(gamma)  # the mean over all images would cancel it anyway
        else:
            mu = everyone.mean
        rr, ee, xx, re, rx, ex = self.products.unbind(1)
        centred = x - count * mu
        square = (
            rr + beta**2 * ee + gamma**2 * (xx - 2 * mu * x + count * mu**2)
            - 2 * beta * re - 2 * gamma * (rx - mu * r) + 2 * beta * gamma * (ex - mu * e)
        )  # fmt: skip
        total = r - beta * e - gamma * centred
        common = 0.0
        if everyone is not None:
            variance = xx.sum(0) / count.sum() - (x.sum(0) / count.sum()) ** 2
            common = (gamma.mean(0) ** 2 * variance).sum().item() / everyone.count
        return Moments(
            self.count, total, square.flatten(1).sum(1), common, self._contrast(beta, everyone)
        )

    def noise_slope(self) -> Float64[Tensor, "group *shape"]:
        """beta of each group, from all other groups."""
        return self._coefficients(self.count.reshape(-1, *[1] * (self.sums.dim() - 2)))[0]

    def _contrast(self, beta: Tensor, everyone: MeanImage | None) -> Contrast | None:
        """Where every image was seen, with draws enough."""
        if (
            self.noise is None
            or everyone is not None
            or bool((self.noise_count < self.count).any())
        ):
            return None
        r, e, rr, ee, re = self.noise.unbind(1)
        square = rr + beta**2 * ee - 2 * beta * re
        return Contrast(r - beta * e, square.flatten(1).sum(1))

    def _coefficients(self, count: Tensor) -> tuple[Tensor, Tensor]:
        """beta and gamma of each group, (G, *shape) or broadcastable, from all other groups."""
        others = count.sum(0) - count
        sums = self.sums.sum(0) - self.sums
        products = self.products.sum(0) - self.products
        r, e, x = (sums / others.clamp(min=1)[:, None]).unbind(1)
        rr, ee, xx, re, rx, _ = (products / others.clamp(min=1)[:, None]).unbind(1)
        terms = (re - r * e, ee - e * e, rx - r * x, xx - x * x, rr - r * r)
        with_noise, noise, with_image, image, variance = map(self.pooling, terms)
        return (
            shrunk_slope(with_noise, noise, variance, others),
            shrunk_slope(with_image, image, variance, others),
        )


def _add(into: Tensor, member: Tensor, *terms: Tensor) -> None:
    """Add sums over the images of each group to (G, terms, *shape)."""
    for k, term in enumerate(terms):
        into[:, k] += (member @ term.flatten(1)).reshape(into[:, k].shape)


def shrunk_slope(
    covariance: Float64[Tensor, "*n"],
    control: Float64[Tensor, "*n"],
    response: Float64[Tensor, "*n"],
    count: Tensor,
) -> Float64[Tensor, "*n"]:
    """Least-squares slope of a response on a control, shrunk by what it is told from noise.

    slope (1 - (1 - rho^2) / ((n - 2) rho^2))_+ with rho their correlation over n images: a control
    that explains nothing switches itself off.
    """
    known = (control > 0) & (response > 0) & (count > 2) & (covariance != 0)
    safe = torch.where(known, control * response, torch.ones_like(control))
    rho_sq = torch.where(known, covariance**2 / safe, torch.ones_like(control)).clamp(max=1)
    kept = (1 - (1 - rho_sq) / ((count - 2).clamp(min=1) * rho_sq)).clamp(min=0)
    slope = covariance / torch.where(known, control, torch.ones_like(control))
    return torch.where(known, kept * slope, torch.zeros_like(slope))


def _per_pixel(sums: Tensor) -> Tensor:
    return sums


def _over_pixels(sums: Tensor) -> Tensor:
    return sums.mean(tuple(range(1, sums.dim())), keepdim=True)


PLAIN = Estimator(
    "plain", lambda shape: PlainAverage(shape, lambda seen: seen.prediction - seen.a * seen.x_0)
)
"""The raw output less its known mean: the published estimator, kept to measure against."""

RESIDUAL = Estimator("residual", lambda shape: PlainAverage(shape, lambda seen: seen.residual))
"""The output less the known target of the same draw."""

SCALAR = Estimator("scalar", lambda shape: ControlVariates(shape, _over_pixels))
"""The residual less one multiple of the noise and one of the image."""

REGRESSION = Estimator("regression", lambda shape: ControlVariates(shape, _per_pixel))
"""The residual less what noise and image explain of it, pixel by pixel. The default."""

NAMED = {estimator.name: estimator for estimator in (PLAIN, RESIDUAL, SCALAR, REGRESSION)}
