"""Features of a small network, trained from a seed on the images themselves.

It learns to recognize the images' classes or, where they have none, by which quarter turn an image
was rotated (Gidaris et al. 2018). Its features mean something for images like those it has seen,
and their Frechet distance is no FID.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy

from real.images.base import ImageSource
from real.quality.features import Features

WIDTH = 64
LARGEST_SIDE = 64
STEPS = 400
BATCH = 64
LEARNING_RATE = 2e-3
MOST_IMAGES = 20_000


class FeatureNetwork(nn.Module):
    """Three convolutions and an average: images (b, c, h, w) -> features (b, WIDTH)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((channels, 32), (32, 64), (64, WIDTH)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.GroupNorm(8, after), nn.SiLU()]
            layers += [nn.AvgPool2d(2, ceil_mode=True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Features of square images."""
        return self.layers(images).mean((2, 3))


def squared(images: Tensor) -> Tensor:
    """Images averaged down to a square of at most ``LARGEST_SIDE``."""
    side = min(LARGEST_SIDE, *images.shape[2:])
    return images if images.shape[2:] == (side, side) else adaptive_avg_pool2d(images, side)


def train_features(images: ImageSource, seed: int, device: Any, steps: int = STEPS) -> Features:
    """Train on the first images, and return the features.

    The same seed gives the same features on the same machine.
    """
    known = images.spread(MOST_IMAGES)
    pixels = torch.cat([squared(batch) for batch in known])
    labels = known.labels if isinstance(known.labels, Tensor) else None
    classes = 4 if labels is None else int(labels.max()) + 1
    with torch.random.fork_rng(devices=[]):  # torch draws initial weights from its global generator
        torch.default_generator.manual_seed(seed)
        network, head = FeatureNetwork(pixels.shape[1]), nn.Linear(WIDTH, classes)
    network, head = network.to(device), head.to(device)
    batches = _batches(pixels, labels, seed, steps)
    accuracy = _fit(network, head, batches, device)
    network.eval().requires_grad_(False)
    task = "quarter turns" if labels is None else f"{classes} classes"
    return Features(
        "Frechet distance (trained features)",
        f"a network of {WIDTH} features trained on {len(pixels)} images to tell {task} "
        f"(right in {accuracy:.0%} of the last ones)",
        lambda batch: network(squared(batch)),
    )


def _batches(
    pixels: Tensor, labels: Tensor | None, seed: int, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Random images with what is to be recognized: the class, or the number of quarter turns."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        chosen = torch.randint(len(pixels), (BATCH,), generator=generator)
        if labels is not None:
            yield pixels[chosen], labels[chosen]
            continue
        turns = torch.randint(4, (BATCH,), generator=generator)
        turned = [x.rot90(int(k), (1, 2)) for x, k in zip(pixels[chosen], turns, strict=True)]
        yield torch.stack(turned), turns


def _fit(
    network: nn.Module, head: nn.Module, batches: Iterator[tuple[Tensor, Tensor]], device: Any
) -> float:
    """Train on the batches; returns the accuracy on the last tenth of them."""
    parameters = [*network.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE)
    right: list[float] = []
    for images, truth in batches:
        truth = truth.to(device)
        guess = head(network(images.to(device)))
        optimizer.zero_grad()
        cross_entropy(guess, truth).backward()
        optimizer.step()
        right.append((guess.argmax(1) == truth).double().mean().item())
    last = right[-max(1, len(right) // 10) :]
    return sum(last) / len(last)
