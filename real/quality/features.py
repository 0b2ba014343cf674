"""Features of images, by which two sets are compared: pixels, and those of Inception.

Only the Frechet distance between Inception's features, which torch-fidelity computes, is FID.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from theory.support.errors import InputError


@dataclass(frozen=True)
class Features:
    """A map of images (b, c, h, w) in [-1, 1] to features (b, d).

    Attributes:
        distance: what the Frechet distance between such features is called.
        description: what they are, in words.
    """

    distance: str
    description: str
    extract: Callable[[Tensor], Tensor]


PIXELS = Features("Frechet distance (pixels)", "all pixels as they are", lambda x: x.flatten(1))


@torch.no_grad()
def features_of(features: Features, batches: Iterable[Tensor], device: Any) -> Tensor:
    """Features of batches of images, float32 (n, d) on the CPU."""
    return torch.cat([features.extract(b.to(device)).to("cpu", torch.float32) for b in batches])


def inception(device: Any) -> Features:
    """The pooled features of the Inception network that FID is defined with.

    torch-fidelity fetches its weights the first time.

    Raises:
        InputError: torch-fidelity is not installed, or its weights cannot be had.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise InputError(
            "features: inception needs torch-fidelity, which is not installed "
            "(pip install torch-fidelity)"
        ) from error
    try:
        network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"]).to(device).eval()
    except (OSError, RuntimeError) as error:
        raise InputError("features: the weights of Inception cannot be fetched") from error

    def extract(images: Tensor) -> Tensor:
        """Features (b, 2048) of images in [-1, 1]."""
        pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        return network(pixels.expand(-1, 3, -1, -1))[0]

    return Features("FID", "Inception-v3, pooled, 2048 wide", extract)
