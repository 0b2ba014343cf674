"""Sampling: shared noise, conditions, codecs, and nothing changed but the shift."""

from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DModel

from real.checkpoints import EMBEDDED
from real.families.checkpoint import Codec
from real.solvers.base import Solver
from real.solvers.by_name import solver_named
from real.solvers.sampling import latents, sample
from tests.real.exact import exact_checkpoint
from theory.support.errors import InputError, NonFiniteError


def test_samples_equal_a_plain_diffusers_loop(digits_checkpoint):
    noise = latents(digits_checkpoint, 3, seed=5)
    network = UNet2DModel.from_pretrained(EMBEDDED["digits"], subfolder="unet").eval()
    solver = DDIMScheduler.from_pretrained(EMBEDDED["digits"], subfolder="scheduler")
    solver.set_timesteps(4)
    x_t = noise
    with torch.no_grad():
        for t in solver.timesteps:
            x_t = solver.step(network(x_t, t).sample, t, x_t).prev_sample
    ours = sample(digits_checkpoint, digits_checkpoint.predict, noise, solver="ddim", nfe=4)
    assert torch.allclose(ours.images, x_t.clamp(-1, 1), atol=1e-5)


def test_noise_depends_on_the_seed_and_not_on_the_count(digits_checkpoint):
    assert torch.equal(
        latents(digits_checkpoint, 4, seed=1)[:2], latents(digits_checkpoint, 2, seed=1)
    )
    assert not torch.equal(
        latents(digits_checkpoint, 2, seed=1), latents(digits_checkpoint, 2, seed=2)
    )


@pytest.mark.parametrize("condition", [torch.arange(5), ["a", "b", "c", "d", "e"]])
def test_every_sample_is_given_its_own_condition(condition):
    checkpoint, seen = exact_checkpoint("vp"), []

    def predict(x_t, t, condition=None):
        seen.append(list(condition))
        return checkpoint.predict(x_t, t)

    noise = latents(checkpoint, 5, seed=0)
    sample(checkpoint, predict, noise, solver="ddim", nfe=1, condition=condition, batch_size=2)
    assert seen == [list(condition[:2]), list(condition[2:4]), list(condition[4:])]
    with pytest.raises(InputError, match="one per sample"):
        sample(checkpoint, predict, noise, solver="ddim", nfe=1, condition=condition[:4])


def test_every_step_draws_noise_of_its_own():
    checkpoint, drawn = exact_checkpoint("vp"), []

    def begin(schedule, nfe, hints):
        plan = solver_named("ddpm").begin(schedule, nfe, hints)

        def step(i, x_0, x, draw):
            drawn.append(draw())
            return x

        return replace(plan, step=step)

    noise = latents(checkpoint, 200, seed=0)
    sample(checkpoint, checkpoint.predict, noise, solver=Solver("drawing", begin), nfe=3)
    together = torch.stack([noise.double(), *drawn]).flatten(1)
    correlations = torch.corrcoef(together) - torch.eye(len(together), dtype=torch.float64)
    assert correlations.abs().max() < 5 / together.shape[1] ** 0.5


def test_latents_are_decoded():
    codec = Codec(
        (1, 2, 2), lambda x: x.mean((2, 3)), lambda z: z.sum(1).expand(-1, 2, 2)[:, None], ""
    )
    plain, coded = exact_checkpoint("edm"), exact_checkpoint("edm", codec=codec)
    noise = latents(plain, 4, seed=0)
    bare, images = (
        sample(c, c.predict, noise, solver="heun", nfe=9).images for c in (plain, coded)
    )
    assert images.shape == (4, 1, 2, 2)
    assert torch.equal(images[:, :, :1, :1], bare.sum(1, keepdim=True).clamp(-1, 1))


def test_progress_counts_evaluations():
    checkpoint, done = exact_checkpoint("vp"), []
    noise = latents(checkpoint, 5, seed=0)
    sample(
        checkpoint, checkpoint.predict, noise, solver="heun", nfe=6, batch_size=3,
        on_progress=done.append,
    )  # fmt: skip
    assert sum(done) == 5 * 5


def test_a_network_that_returns_nan_is_refused():
    checkpoint = exact_checkpoint("vp")
    noise = latents(checkpoint, 2, seed=0)
    with pytest.raises(NonFiniteError, match="at t=1"):
        sample(checkpoint, lambda x_t, t: x_t * torch.nan, noise, solver="ddim", nfe=2)
    with pytest.raises(InputError, match="at least 1, got 0"):
        sample(checkpoint, checkpoint.predict, noise, solver="ddim", nfe=0)
