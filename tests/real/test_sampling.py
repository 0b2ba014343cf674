"""Sampling through diffusers: shared noise, and nothing changed but the shift."""

import torch
from diffusers import DDIMScheduler, UNet2DModel

from real.checkpoints import EMBEDDED
from real.sampling import latents, sample


def test_samples_equal_a_plain_diffusers_loop(digits_checkpoint):
    noise = latents(digits_checkpoint, 3, seed=5)
    network = UNet2DModel.from_pretrained(EMBEDDED["digits"], subfolder="unet").eval()
    solver = DDIMScheduler.from_pretrained(EMBEDDED["digits"], subfolder="scheduler")
    solver.set_timesteps(4)
    x_t = noise
    with torch.no_grad():
        for t in solver.timesteps:
            x_t = solver.step(network(x_t, t).sample, t, x_t).prev_sample
    ours = sample(digits_checkpoint, digits_checkpoint.predict, noise, 4)
    assert torch.allclose(ours, x_t.clamp(-1, 1), atol=1e-5)


def test_noise_depends_on_the_seed_and_not_on_the_count(digits_checkpoint):
    assert torch.equal(
        latents(digits_checkpoint, 4, seed=1)[:2], latents(digits_checkpoint, 2, seed=1)
    )
    assert not torch.equal(
        latents(digits_checkpoint, 2, seed=1), latents(digits_checkpoint, 2, seed=2)
    )
