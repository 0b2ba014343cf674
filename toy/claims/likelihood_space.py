"""The likelihood bound in two to four dimensions, over most of the way from T to 0, in closed form.

The data are a Gaussian of full covariance; a second one is diffused beside it. The model is affine in
each coordinate (``toy.mixtures.affine_model``), along axes that are not the data's, and so are the laws
of its reverse SDE and ODE Gaussian, along these axes. All scores are affine, x -> A x + b, and under
x ~ N(m, C)

    E u.w = (A_u m + b_u).(A_w m + b_w) + tr(A_u C A_w^T).

Integrals over time are composite Gauss-Legendre rules.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.diffusion.schedules import Schedule
from toy.claims.likelihood_whole import Weight, half_diffusion_sq, sigma_for_sigma_squared
from toy.judge.claim import exact_claim
from toy.mixtures.mixture import float64
from toy.numerics.marginals_over_time import log_snr_panels
from toy.numerics.relative_errors import error_of_sides
from toy.strategies.likelihood import SPACE_CASES, SpaceCase


@dataclass(frozen=True)
class Gaussians:
    """A Gaussian at each of T times.

    Attributes:
        means, covariances: (T, d) and (T, d, d).
    """

    means: Float64[Tensor, "time d"]
    covariances: Float64[Tensor, "time d d"]

    def score(self) -> "AffineFields":
        """grad log q = -C^-1 (x - m)."""
        precisions = torch.linalg.inv(self.covariances)
        return AffineFields(-precisions, (precisions @ self.means[..., None])[..., 0])

    def divergence(self, other: "Gaussians") -> float:
        """KL of the first time's law from another's."""
        (m, c), (n, d) = ((g.means[0], g.covariances[0]) for g in (self, other))
        apart, ratio = n - m, torch.linalg.solve(d, c)
        far = apart @ torch.linalg.solve(d, apart)
        return ((ratio.trace() - len(m) + far - torch.logdet(ratio)) / 2).item()


@dataclass(frozen=True)
class AffineFields:
    """x -> A x + b at each of T times.

    Attributes:
        matrices, offsets: A and b, (T, d, d) and (T, d).
    """

    matrices: Float64[Tensor, "time d d"]
    offsets: Float64[Tensor, "time d"]

    def __sub__(self, other: "AffineFields") -> "AffineFields":
        return AffineFields(self.matrices - other.matrices, self.offsets - other.offsets)

    def mean(self, law: Gaussians) -> Float64[Tensor, "time d"]:
        """E u."""
        return (self.matrices @ law.means[..., None])[..., 0] + self.offsets

    def product(self, other: "AffineFields", law: Gaussians) -> Float64[Tensor, "time"]:
        """E u.w."""
        spread = torch.einsum("tij,tjk,tik->t", self.matrices, law.covariances, other.matrices)
        return (self.mean(law) * other.mean(law)).sum(1) + spread


Product = Callable[[AffineFields, AffineFields, Gaussians], Tensor]
"""E u.w of two fields under a law, (T,)."""


def diffused(case: SpaceCase, data: tuple[Tensor, Tensor], times: Tensor) -> Gaussians:
    """N(alpha m, alpha^2 C + sigma^2 I) at times (T,)."""
    (mean, covariance), schedule = data, case.times.schedule
    alpha, sigma = schedule.alpha(times), schedule.sigma(times)
    noise = (sigma**2)[:, None, None] * torch.eye(len(mean), dtype=torch.float64)
    return Gaussians(alpha[:, None] * mean, (alpha**2)[:, None, None] * covariance + noise)


def model_score(case: SpaceCase, times: Tensor) -> AffineFields:
    """s_theta, found from its values at 0 and 1 in each coordinate."""
    at_0, at_1 = (
        torch.stack([model.score(float64(x), times) for model in case.models], 1)
        for x in (0.0, 1.0)
    )
    return AffineFields(torch.diag_embed(at_1 - at_0), at_0)


def carried(case: SpaceCase, times: Tensor, by: str) -> Gaussians:
    """The law of the model's reverse "sde" or "ode" at times (T,), which starts from its prior at t."""
    start, alpha = float64(case.times.t), case.times.schedule.alpha(times)[:, None]
    moments = [getattr(model, f"{by}_moments")(times, start) for model in case.models]
    means, variances = (torch.stack(found, 1) for found in zip(*moments, strict=True))
    return Gaussians(alpha * means, torch.diag_embed(alpha**2 * variances))


@dataclass(frozen=True)
class SpaceTerms:
    """The terms of the statements, as in ``toy.claims.likelihood_whole``; ``gain`` is 0.5 int g^2 |E s|^2."""

    kl_sde: float
    kl_ode: float
    kl_prior: float
    j_sm: float
    j_left: float
    j_ode: float
    j_calibrated: float
    gain: float
    kl_other: float
    kl_other_prior: float
    j_other: float


@lru_cache(maxsize=4096)
def space_terms(
    case: SpaceCase, weight: Weight = half_diffusion_sq, product: Product = AffineFields.product
) -> SpaceTerms:
    """The terms of one case.

    Args:
        case: the data, the other Gaussian and the model.
        weight: g^2/2.
        product: E u.w.
    """
    schedule, (s, t) = case.times.schedule, (case.times.s, case.times.t)
    times, by_log_snr = log_snr_panels(schedule, s, t)
    in_time = by_log_snr / schedule.d_log_snr(times).abs() * weight(schedule, times)
    law, other, model = (
        diffused(case, case.data, times),
        diffused(case, case.other, times),
        model_score(case, times),
    )
    score = law.score()

    def integral(u: AffineFields, w: AffineFields) -> float:
        """0.5 int g^2 E u.w dt."""
        return (in_time @ product(u, w, law)).item()

    error, gap = model - score, other.score() - score
    left = model - carried(case, times, "sde").score()
    own = model.mean(law)
    calibrated = AffineFields(error.matrices, error.offsets - own)
    ends = float64([s]), float64([t])
    at_s, at_t = (diffused(case, case.data, end) for end in ends)
    other_s, other_t = (diffused(case, case.other, end) for end in ends)
    return SpaceTerms(
        kl_sde=at_s.divergence(carried(case, ends[0], "sde")),
        kl_ode=at_s.divergence(carried(case, ends[0], "ode")),
        kl_prior=at_t.divergence(carried(case, ends[1], "sde")),
        j_sm=integral(error, error), j_left=integral(left, left),
        j_ode=integral(error, carried(case, times, "ode").score() - score),
        j_calibrated=integral(calibrated, calibrated), gain=(in_time @ own.square().sum(1)).item(),
        kl_other=at_s.divergence(other_s), kl_other_prior=at_t.divergence(other_t),
        j_other=integral(gap, gap),
    )  # fmt: skip


Sides = Callable[[SpaceTerms], tuple[float, float]]
"""From the terms to the two sides of an equation."""


def space_error(
    case: SpaceCase,
    sides: Sides,
    weight: Weight = half_diffusion_sq,
    product: Product = AffineFields.product,
) -> float:
    """By how much the two sides differ, relative to 1 + both."""
    return error_of_sides(*sides(space_terms(case, weight, product)))


def first_coordinate(u: AffineFields, w: AffineFields, law: Gaussians) -> Tensor:
    """The mistake of one coordinate for all."""
    only = torch.zeros(law.means.shape[1], dtype=torch.float64)
    only[0] = 1.0
    alone = AffineFields(only[:, None] * u.matrices, only * u.offsets)
    return alone.product(w, law)


def variances_alone(u: AffineFields, w: AffineFields, law: Gaussians) -> Tensor:
    """The mistake of coordinates that are taken to be uncorrelated."""
    diagonal = torch.diag_embed(law.covariances.diagonal(dim1=1, dim2=2))
    return u.product(w, Gaussians(law.means, diagonal))


def without_half(schedule: Schedule, times: Tensor) -> Tensor:
    """The mistake of g^2 for g^2/2."""
    return schedule.diffusion_sq(times)


def of_sde(p: SpaceTerms) -> tuple[float, float]:
    """KL(q_0|p_0) = KL(q_T|p_T) + J_SM - J_left."""
    return p.kl_sde, p.kl_prior + p.j_sm - p.j_left


def of_ode(p: SpaceTerms) -> tuple[float, float]:
    """KL(q_0|p_0) = KL(q_T|p_T) + J_ODE."""
    return p.kl_ode, p.kl_prior + p.j_ode


def of_two(p: SpaceTerms) -> tuple[float, float]:
    """KL(q_s|p_s) = KL(q_t|p_t) + J_SM of two diffusions."""
    return p.kl_other, p.kl_other_prior + p.j_other


def of_calibration(p: SpaceTerms) -> tuple[float, float]:
    """J_SM falls by 0.5 int g^2 |E s|^2 dt."""
    return p.j_sm - p.j_calibrated, p.gain


CLAIMS = (
    exact_claim(
        "sde-bound-space", "5", "KL = KL_T + J_SM - J_left of the SDE, d = 2 to 4, from T to 0",
        SPACE_CASES, partial(space_error, sides=of_sde),
        sides={
            "space-prior-forgotten": lambda p: (p.kl_sde, p.j_sm - p.j_left),
            "space-bound-for-divergence": lambda p: (p.kl_sde, p.kl_prior + p.j_sm),
        },
        weight={
            "space-without-half": without_half, "space-sigma-once": sigma_for_sigma_squared,
        },
        product={"space-first-coordinate": first_coordinate},
    ),
    exact_claim(
        "ode-divergence-space", "5", "KL = KL_T + J_ODE of the ODE, d = 2 to 4, from T to 0",
        SPACE_CASES, partial(space_error, sides=of_ode),
        sides={"space-score-matching-for-ode": lambda p: (p.kl_ode, p.kl_prior + p.j_sm)},
        product={"ode-uncorrelated": variances_alone},
    ),
    exact_claim(
        "kl-dissipation-space", "5", "KL(q_s|p_s) = KL(q_t|p_t) + J_SM of two Gaussians, d = 2 to 4",
        SPACE_CASES, partial(space_error, sides=of_two),
        weight={"dissipation-without-half": without_half},
        product={"dissipation-uncorrelated": variances_alone},
    ),
    exact_claim(
        "calibration-nats-space", "5", "J_SM falls by 0.5 int g^2 |E s|^2 dt, d = 2 to 4",
        SPACE_CASES, partial(space_error, sides=of_calibration),
        sides={
            "gain-without-half": lambda p: (p.j_sm - p.j_calibrated, 2 * p.gain),
            "gain-of-all": lambda p: (p.j_sm, p.gain),
        },
        product={"gain-of-one-coordinate": first_coordinate},
    ),
)  # fmt: skip
