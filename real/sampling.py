"""Samples through diffusers' DDIM solver, from noise that calibrated and uncalibrated runs share."""

from collections.abc import Callable, Iterable

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from real.checkpoints import Checkpoint
from theory.noise import keyed_noise
from theory.observations import Predict


def latents(checkpoint: Checkpoint, count: int, seed: int) -> Tensor:
    """Starting noise (count, c, h, w), float32, the same for the same seed."""
    return keyed_noise(seed, "sample", 0, 0, torch.arange(count), checkpoint.shape).float()


@torch.no_grad()
def sample(
    checkpoint: Checkpoint,
    predict: Predict,
    noise: Tensor,
    steps: int,
    progress: Callable[[Iterable[Tensor]], Iterable[Tensor]] = lambda steps: steps,
) -> Tensor:
    """Deterministic DDIM samples (n, c, h, w) in [-1, 1].

    Args:
        predict: the checkpoint's own prediction, or its ``Calibrated`` one.
        noise: x_T, from ``latents``.
        steps: network evaluations per sample.
        progress: wraps the iteration over solver times.
    """
    solver = DDIMScheduler.from_config(dict(checkpoint.scheduler_config))
    solver.set_timesteps(steps)
    x_t = noise * solver.init_noise_sigma
    for t in progress(solver.timesteps):
        y = predict(x_t, t.to(x_t.device).expand(len(x_t)))
        x_t = solver.step(y, t, x_t, eta=0.0).prev_sample
    return x_t.clamp(-1, 1)
