"""Exact Gaussian-mixture diffusions, on which the theory is tried.

    from toy import Diffusion, GaussianMixture, Model

A file for ``python -m toy verify --model FILE.py:NAME`` needs no more than these.
"""

from theory import __version__ as __version__
from theory.support.public_names import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Diffusion": "toy.mixtures.diffusion",
        "Formula": "toy.falsifier.user_models",
        "GaussianMixture": "toy.mixtures.mixture",
        "Model": "toy.falsifier.user_models",
        "PlantedErrorModel": "toy.mixtures.planted_error",
    },
)
