"""The scores that each known mistake gives, for the diffusion of a model."""

import math
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from toy.falsifier.other_times import other_times
from toy.falsifier.slope_mistakes import OTHERS
from toy.falsifier.sweeps import is_time
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture

GUARDS = tuple(10.0**-k for k in range(1, 9))
"""What is added to a divisor, so that it is never zero."""

IN_ONE = (
    "in the probabilities of the components alone",
    "in the scores of the components alone",
)
"""Where a law may be wrong and right elsewhere."""

INPUTS = {
    "x_t/alpha": lambda x, alpha, sigma: x / alpha,
    "alpha x_t": lambda x, alpha, sigma: x * alpha,
    "x_t/sigma": lambda x, alpha, sigma: x / sigma,
    "sigma x_t": lambda x, alpha, sigma: x * sigma,
    "-x_t": lambda x, alpha, sigma: -x,
}
"""What may be taken for x_t."""


def wrong_scores(diffusion: Diffusion, x: Tensor, t: float) -> dict[str, Tensor]:
    """Scores (n, d) at points (n, d) and the time t, by the name of the mistake."""
    alpha, sigma = diffusion.scales(t)
    wrong = _wrong_laws(diffusion.data, alpha, sigma)
    found = {name: law.score(x) for name, law in wrong.items()}
    unknown = torch.full_like(x, math.nan)
    for name, u in other_times(diffusion.schedule, t).items():
        a, s = (math.nan, math.nan) if u is None else diffusion.scales(u)
        found[f"alpha alone: {name}"] = _law(diffusion.data, a, a**2, sigma**2).score(x)
        found[f"sigma alone: {name}"] = _law(diffusion.data, alpha, alpha**2, s**2).score(x)
    for name, other in OTHERS.items():
        there = is_time(other, t)
        found[f"another schedule: the alpha and sigma of {name}"] = (
            Diffusion(diffusion.data, other).score(x, t) if there else unknown
        )
    for name, of in INPUTS.items():
        found[f"input: {name} in place of x_t"] = diffusion.score(of(x, alpha, sigma), t)
    right = diffusion.score(x, t)
    for size in GUARDS:
        noisier = _law(diffusion.data, alpha, alpha**2, sigma**2 + size)
        found[f"a guard: {size:g} is added to the variance of x_t"] = noisier.score(x)
        for name, scale in (("sigma", sigma), ("sigma^2", sigma**2)):
            guarded = right * scale / (scale + size)
            found[f"a guard: {size:g} is added to {name} in a divisor"] = guarded
    right_law = diffusion.marginal(t)
    found |= _of_components(right_law, x)
    for name, law in wrong.items():
        if len(law.log_weights) == len(right_law.log_weights):
            in_one = (law, right_law), (right_law, law)
            for part, (of_all, of_each) in zip(IN_ONE, in_one, strict=True):
                p, scores = of_all.responsibilities(x), of_each.component_scores(x)
                found[f"{name}, {part}"] = torch.einsum("nk,nkd->nd", p, scores)
    return found


def wrong_conversions(x: Tensor, noise: Tensor, alpha: float, sigma: float) -> dict[str, Tensor]:
    """Means of x_0 given x_t from the noise, (x_t - sigma e)/alpha, with a wrong power (n, d)."""
    return {
        "sigma^2 for sigma: in (x_t - sigma e)/alpha": (x - sigma**2 * noise) / alpha,
        "missing sigma: in (x_t - sigma e)/alpha": (x - noise) / alpha,
        "the sign of sigma: in (x_t - sigma e)/alpha": (x + sigma * noise) / alpha,
    }


def wrong_noises(x: Tensor, data: Tensor, alpha: float, sigma: float) -> dict[str, Tensor]:
    """Means of e given x_t from that of x_0, (x_t - alpha x_0)/sigma, with a wrong power (n, d)."""
    return {
        "missing alpha: in (x_t - alpha x_0)/sigma": (x - data) / sigma,
        "alpha^2 for alpha: in (x_t - alpha x_0)/sigma": (x - alpha**2 * data) / sigma,
        "1 - alpha for sigma: in (x_t - alpha x_0)/sigma": (x - alpha * data) / (1 - alpha),
        "1 - alpha for sigma^2: in the score": sigma * (x - alpha * data) / (1 - alpha),
    }


def wrong_means(diffusion: Diffusion, x: Tensor, t: float) -> dict[str, Tensor]:
    """Means of x_0 given x_t (n, d), by the name of the mistake."""
    alpha, _ = diffusion.scales(t)
    law, data = diffusion.marginal(t), diffusion.data
    of_component = law.component_scores(x)
    moved = -torch.einsum("kij,nkj->nki", data.covariances(), of_component)
    p = law.responsibilities(x)

    def mean(gain: float) -> Tensor:
        """sum_k P(k|x_t) (m_k + gain C_k (x - alpha m_k) / (alpha^2 C_k + sigma^2))."""
        return torch.einsum("nk,nkd->nd", p, data.means + gain * moved)

    return {
        "missing alpha: in the gain of x_0, alpha C / (alpha^2 C + sigma^2)": mean(1.0),
        "alpha for alpha^2: in the gain of x_0, alpha C / (alpha^2 C + sigma^2)": mean(alpha**2),
        "missing sigma^2: x_t / alpha in place of the mean of x_0": x / alpha,
        "components: their means alone, as if they had no width": mean(0.0),
    }


def _of_components(law: GaussianMixture, x: Tensor) -> dict[str, Tensor]:
    """Scores with a mistake in how the components of the right law are put together, (n, d)."""
    of_each, weights = law.component_scores(x), torch.exp(law.log_weights)
    nearest = torch.nn.functional.one_hot(law.responsibilities(x).argmax(1), len(weights)).double()
    logs, half_logdet = law.log_components(x), law.covariances().logdet() / 2
    peaks = law.log_weights - half_logdet - _without_pi(law)
    mixed = {
        "components: their densities without 1/sqrt(det C)": logs + half_logdet,
        "components: their densities with 1/det C": logs - half_logdet,
        "components: their densities without 1/2 in the exponent": 2 * logs - peaks,
        "components: their densities with 1/sqrt(v) for v^(-d/2), v = det(C)^(1/d)": logs
        + half_logdet * (1 - 1 / law.dimension),
    }
    apart = law.means - law.mean()
    whole = torch.einsum("k,kij->ij", weights, law.covariances())
    whole = whole + torch.einsum("k,ki,kj->ij", weights, apart, apart)
    found = {
        "components: their weights in place of their probabilities at x_t":
            torch.einsum("k,nkd->nd", weights, of_each),
        "components: the most likely one alone": torch.einsum("nk,nkd->nd", nearest, of_each),
        **{
            name: torch.einsum("nk,nkd->nd", torch.softmax(heights, 1), of_each)
            for name, heights in mixed.items()
        },
        "components: one Gaussian with the mean and the variance of all":
            -torch.linalg.solve(whole, (x - law.mean()).T).T,
        "the gradient of the density, not of its logarithm":
            torch.exp(law.log_density(x))[:, None] * law.score(x),
        "components: their probabilities exchanged":
            torch.einsum("nk,nkd->nd", law.responsibilities(x).flip(1), of_each),
        "components: weights that are not divided by their sum":
            torch.einsum("nk,nkd->nd", torch.exp(logs + _without_pi(law)), of_each),
        "components: their weights in place of the logarithms of these": torch.einsum(
            "nk,nkd->nd", torch.softmax(logs - law.log_weights + weights, 1), of_each
        ),
        "components: divided by the Cholesky factor L of their covariance, not by L L^T": torch.einsum(
            "nk,kji,nkj->ni", law.responsibilities(x), torch.linalg.cholesky(law.covariances()), of_each
        ),
        "components: times their variance, not divided by it": torch.einsum(
            "nk,kij,nkj->ni", law.responsibilities(x), law.covariances() @ law.covariances(), of_each
        ),
    }  # fmt: skip
    if law.dimension > 1:
        right = law.score(x)
        found["coordinates: the other way round"] = right.flip(1)
        found["coordinates: the sum of all in each"] = right.sum(1, keepdim=True).expand_as(right)
        found["coordinates: the mean of all in each"] = right.mean(1, keepdim=True).expand_as(right)
    return found


def _without_pi(law: GaussianMixture) -> float:
    """What log densities lack without 1/(2 pi)^(d/2)."""
    return law.dimension * math.log(2 * math.pi) / 2


def _law(data: GaussianMixture, mean: float, variance: float, noise: float) -> GaussianMixture:
    """With means and variances of the data times these, and this variance of the noise."""
    return replace(data, means=mean * data.means, variances=variance * data.variances + noise)


def _wrong_laws(data: GaussianMixture, alpha: float, sigma: float) -> dict[str, GaussianMixture]:
    """Marginals with a mistake in them."""

    def noised(wrong: GaussianMixture) -> GaussianMixture:
        """The law of x_t for wrong data."""
        return _law(wrong, alpha, alpha**2, sigma**2)

    law = partial(_law, data)
    wrong_data = {
        "components: their weights exchanged": replace(data, log_weights=data.log_weights.flip(0)),
        "components: their variances exchanged": replace(data, variances=data.variances.flip(0)),
        "means: their coordinates the other way round": replace(data, means=data.means.flip(1)),
        "components: equal weights": replace(data, log_weights=0 * data.log_weights),
        "covariances: without what is off their diagonals": replace(
            data, variances=data.covariances().diagonal(dim1=1, dim2=2), rotations=None
        ),
        "covariances: their inverses": replace(data, variances=1 / data.variances),
        "covariances: turned the other way, R^T diag R for R diag R^T": replace(
            data, rotations=None if data.rotations is None else data.rotations.mT
        ),
        "data: of mean 0 and variance 1, as in training": _normalized(data),
    }
    turned = 2 * torch.diag_embed(data.covariances().diagonal(dim1=1, dim2=2)) - data.covariances()
    if not torch.linalg.cholesky_ex(turned).info.any():
        wrong_data[
            "covariances: the sign of what is off their diagonals, or R^T C R for R C R^T"
        ] = GaussianMixture.full(torch.exp(data.log_weights), data.means, turned)
    factors, positive = torch.linalg.cholesky_ex(data.covariances())
    if not positive.any():
        wrong_data["covariances: L^T L in place of L L^T"] = GaussianMixture.full(
            torch.exp(data.log_weights), data.means, factors.mT @ factors
        )
    for k in range(len(data.log_weights) if len(data.log_weights) > 1 else 0):
        left = torch.arange(len(data.log_weights)) != k
        rotations = None if data.rotations is None else data.rotations[left]
        wrong_data[f"components: number {k + 1} is forgotten"] = GaussianMixture(
            data.log_weights[left].log_softmax(0), data.means[left], data.variances[left], rotations
        )
        deviations = data.variances.clone()
        deviations[k] = deviations[k].sqrt()
        wrong_data[f"sigma for sigma^2: the deviation of component {k + 1}"] = replace(
            data, variances=deviations
        )
    for k in range(data.dimension if data.dimension > 1 and data.rotations is None else 0):
        wrong_data[f"covariances: the variance of coordinate {k} in all"] = replace(
            data, variances=data.variances[:, k : k + 1].expand_as(data.variances)
        )
        deviations = data.variances.clone()
        deviations[:, k] = deviations[:, k].sqrt()
        wrong_data[f"sigma for sigma^2: the deviations in coordinate {k}"] = replace(
            data, variances=deviations
        )
    return {name: noised(wrong) for name, wrong in wrong_data.items()} | {
        "alpha for alpha^2: alpha_bar for alpha, in the means and the variance of x_t": law(
            alpha**2, alpha**4, sigma**2
        ),
        "factor 2: twice the variance of x_t": replace(
            noised(data), variances=2 * noised(data).variances
        ),
        "factor 2: half the variance of x_t": replace(
            noised(data), variances=noised(data).variances / 2
        ),
        "missing noise: the law of alpha x_0": law(alpha, alpha**2, 0.0),
        "missing noise: the law of x_0": law(1.0, 1.0, 0.0),
        "missing sigma^2: 1 in its place": law(alpha, alpha**2, 1.0),
        "alpha twice: in the means of x_t": law(alpha**2, alpha**2, sigma**2),
        "sigma for sigma^2: in the variance of x_t": law(alpha, alpha**2, sigma),
        "alpha and sigma exchanged": law(sigma, sigma**2, alpha**2),
        "missing alpha: in the means of x_t": law(1.0, alpha**2, sigma**2),
        "missing alpha: in the variance of x_t": law(alpha, 1.0, sigma**2),
        "missing alpha: in the means and the variance of x_t": law(1.0, 1.0, sigma**2),
        "alpha for alpha^2: in the variance of x_t": law(alpha, alpha, sigma**2),
        "sigma for sigma^2: of the data, deviations in place of variances": replace(
            law(alpha, 0.0, sigma**2), variances=alpha**2 * data.variances.sqrt() + sigma**2
        ),
    }


def _normalized(data: GaussianMixture) -> GaussianMixture:
    """The data, moved and scaled to mean 0 and variance 1 over all coordinates."""
    weights, mean = torch.exp(data.log_weights), data.mean()
    apart = (data.means - mean).square()
    inner = data.covariances().diagonal(dim1=1, dim2=2)
    variance = (weights @ (inner + apart)).mean()
    return replace(
        data, means=(data.means - mean) / variance.sqrt(), variances=data.variances / variance
    )
