"""Inception's features through torch-fidelity: the only ones whose Frechet distance is FID."""

from typing import Any

import torch
from torch import Tensor

from real.quality.features import Features
from theory.support.errors import InputError

WIDTH = "2048"


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
        network = FeatureExtractorInceptionV3("inception-v3-compat", [WIDTH]).to(device).eval()
    except (OSError, RuntimeError) as error:
        raise InputError("features: the weights of Inception cannot be fetched") from error

    def extract(images: Tensor) -> Tensor:
        """Features (b, 2048) of images in [-1, 1]."""
        pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        return network(pixels.expand(-1, 3, -1, -1))[0]

    return Features("FID", "Inception-v3, pooled, 2048 wide", extract)
