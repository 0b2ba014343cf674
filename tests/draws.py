"""Seeded draws that the tests share."""

import torch


def normal(seed, *shape):
    """Standard normal numbers in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)
