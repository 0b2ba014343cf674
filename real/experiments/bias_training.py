"""Re-train the biases of a damaged network by gradient descent, for comparison."""

from dataclasses import replace

import torch
from torch import Tensor

from real.compress.quantize import denoisers
from real.families.checkpoint import Checkpoint
from theory.forward.fingerprints import fingerprint
from theory.forward.images import Conditions, take
from theory.support.broadcasting import along_batch

COST = 3
"""A forward and a backward pass, in network evaluations."""

RATE = 1e-3


def with_trained_biases(
    fresh: Checkpoint,
    images: Tensor,
    times: Tensor,
    *,
    evaluations: int,
    seed: int,
    conditions: Conditions | None = None,
    batch_size: int = 32,
) -> Checkpoint:
    """Train all biases in place with Adam on the denoising loss, on as much as that many evaluations.

    Args:
        fresh: a network of which nobody else needs the biases as they are.
        images: (n, *shape), on the network's device.
        times: the times to draw from.
        conditions: one for each image, for a network that takes them.
    """
    generator = torch.Generator().manual_seed(seed)
    biases = [p for _, m in denoisers(fresh) for n, p in m.named_parameters() if _is_bias(n)]
    optimizer = torch.optim.Adam(biases, lr=RATE)
    a, b = fresh.target.coefficients(fresh.schedule, times)
    alpha, sigma = fresh.schedule.alpha(times), fresh.schedule.sigma(times)
    for bias in biases:
        bias.requires_grad_(True)
    for _ in range(evaluations // (COST * batch_size)):
        k = torch.randint(len(times), (batch_size,), generator=generator)
        chosen = torch.randint(len(images), (batch_size,), generator=generator)
        x_0, condition = images[chosen], take(conditions, chosen)
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


def _is_bias(name: str) -> bool:
    return name.rpartition(".")[2] in ("bias", "b")


def _mixed(a: Tensor, x_0: Tensor, b: Tensor, noise: Tensor) -> Tensor:
    return along_batch(a.to(x_0), x_0) * x_0 + along_batch(b.to(x_0), x_0) * noise
