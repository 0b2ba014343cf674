"""Features of images: what two sets of images are compared by."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


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
