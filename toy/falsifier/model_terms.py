"""Wrong predictions as sums of x_t and of means given x_t, with factors of alpha and sigma."""

import torch
from torch import Tensor

from toy.falsifier.sums import products, sum_of_terms, times
from toy.falsifier.user_models import Model
from toy.mixtures.mixture import float64

Samples = list[tuple[float, Tensor]]
"""Times, and points there (n, d)."""

RIGHT = {
    "noise": "E[e|x_t]",
    "data": "E[x_0|x_t]",
    "score": "-E[e|x_t]/sigma",
    "velocity": "alpha E[e|x_t] - sigma E[x_0|x_t]",
    "flow": "alpha' E[x_0|x_t] + sigma' E[e|x_t]",
}
"""The targets in these terms."""


def of_the_means(model: Model, samples: Samples) -> str:
    """The predictions as a sum of x_t, E[x_0|x_t], E[e|x_t] and others, with factors; or ""."""
    got = torch.cat([model.at(x, t) for t, x in samples])
    of_each = [_terms(model, x, t) for t, x in samples]
    terms = {name: torch.cat([each[name] for each in of_each]) for name in of_each[0]}
    formula = sum_of_terms(got, terms)
    right = RIGHT.get(model.target.name)
    return formula and f"it is {formula}{f', where {right} is right' if right else ''}"


def _terms(model: Model, x: Tensor, t: float) -> dict[str, Tensor]:
    diffusion = model.diffusion
    p = diffusion.marginal(t).responsibilities(x)
    vectors = {
        "x_t": x,
        "E[x_0|x_t]": diffusion.posterior_mean(x, t),
        "E[e|x_t]": diffusion.noise_prediction(x, t),
        "sum_k P(k|x_t) m_k": p @ diffusion.data.means,
        "1": torch.ones_like(x),
    }
    alpha, sigma = float64(diffusion.scales(t))
    scales = products({"alpha": alpha, "sigma": sigma}, size=4)
    slopes = {
        "1": torch.ones(()).double(),
        "alpha'": diffusion.schedule.d_alpha(float64(t)),
        "sigma'": diffusion.schedule.d_sigma(float64(t)),
    }
    return times(vectors, times(slopes, scales))
