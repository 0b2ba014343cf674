"""Re-train the biases of a damaged network by gradient descent, for comparison."""

from dataclasses import replace

import torch
from torch import Tensor

from real.calibrated.conditions import ConditionedImages
from real.compress.quantize import denoisers
from real.families.checkpoint import Checkpoint
from theory.forward.fingerprints import fingerprint
from theory.forward.images import take
from theory.support.broadcasting import along_batch

COST = 3
"""A forward and a backward pass, in network evaluations."""

RATE, BATCH = 1e-3, 32


def with_trained_biases(
    fresh: Checkpoint, images: ConditionedImages, times: Tensor, *, evaluations: int, seed: int
) -> Checkpoint:
    """Train all biases in place with Adam on the denoising loss.

    Args:
        fresh: a network whose biases nobody else needs as they are.
        images: to train on, on the network's device.
        times: the times to draw from.
        evaluations: how many network evaluations may be spent, at most.
        seed: of the images, times and noise that are drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    biases = [
        parameter
        for _, module in denoisers(fresh)
        for name, parameter in module.named_parameters()
        if name.rpartition(".")[2] in ("bias", "b")
    ]
    optimizer = torch.optim.Adam(biases, lr=RATE)
    a, b = fresh.target.coefficients(fresh.schedule, times)
    alpha, sigma = fresh.schedule.alpha(times), fresh.schedule.sigma(times)
    for bias in biases:
        bias.requires_grad_(True)
    for _ in range(evaluations // (COST * BATCH)):
        k = torch.randint(len(times), (BATCH,), generator=generator)
        chosen = torch.randint(len(images), (BATCH,), generator=generator)
        x_0, condition = images.images[chosen], take(images.conditions, chosen)
        noise = torch.randn(x_0.shape, generator=generator).to(x_0)
        x_t = _mixed(alpha[k], x_0, sigma[k], noise)
        t = times[k].to(x_0.dtype) if times.is_floating_point() else times[k]
        with torch.enable_grad():
            y = fresh.predict(x_t, t.to(x_0.device), condition)
            loss = (y - _mixed(a[k], x_0, b[k], noise)).square()
            optimizer.zero_grad()
            loss.mean().backward()
        optimizer.step()
    for bias in biases:
        bias.requires_grad_(False)
    digest = fingerprint([(str(i), bias) for i, bias in enumerate(biases)], fresh.fingerprint)
    return replace(fresh, reference=f"{fresh.reference}, biases trained", fingerprint=digest)


def _mixed(a: Tensor, x_0: Tensor, b: Tensor, noise: Tensor) -> Tensor:
    return along_batch(a.to(x_0), x_0) * x_0 + along_batch(b.to(x_0), x_0) * noise
