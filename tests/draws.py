"""Seeded draws that the tests share."""

import torch
from hypothesis import given, seed, settings


def normal(seed, *shape):
    """Standard normal numbers in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def drawn(strategy, count=20):
    """So many cases of a strategy, the same each time."""
    found = []

    @seed(0)
    @settings(max_examples=count, database=None, deadline=None)
    @given(strategy)
    def draw(case):
        found.append(case)

    draw()
    return found
