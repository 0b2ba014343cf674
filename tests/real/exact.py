"""An exact network: the posterior mean of Gaussian data, on any schedule, as any target."""

import torch

from real.checkpoints import Checkpoint
from theory.diffusion.schedules import EDM, DiscreteSchedule, RectifiedFlow, VPCosine, VPLinear
from theory.diffusion.targets import DATA, FLOW, NOISE, SCORE, VELOCITY

MEAN = torch.tensor([0.2, -0.1], dtype=torch.float64)[:, None, None]
VARIANCE = torch.tensor([0.03, 0.01], dtype=torch.float64)[:, None, None]
BETAS = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
FAMILIES = {
    "vp": (VPLinear(), NOISE),
    "cosine": (VPCosine(), VELOCITY),
    "edm": (EDM(), DATA),
    "flow": (RectifiedFlow(), FLOW),
    "table": (DiscreteSchedule((1 - BETAS).cumprod(0)), SCORE),
}


def posterior_mean(schedule, x_t, t):
    """E[x_0 | x_t]."""
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    gain = alpha * VARIANCE / (alpha**2 * VARIANCE + sigma**2)
    return MEAN + gain * (x_t - alpha * MEAN)


def at_the_end(plan, schedule, noise):
    """Where the exact probability flow brings a solver's start.

    It ends with a denoising if the solver's last time is the schedule's cleanest, however many
    there are, and at the data if that time depends on their number.
    """
    first, last = plan.times[0], plan.times[-1]
    x_t = plan.start(noise) * plan.norm(schedule.alpha(first), schedule.sigma(first))

    def deviation(t):
        return (schedule.alpha(t) ** 2 * VARIANCE + schedule.sigma(t) ** 2).sqrt()

    latent = (x_t - schedule.alpha(first) * MEAN) / deviation(first)
    if last > schedule.grid(2).min() + 1e-9:
        return MEAN + VARIANCE.sqrt() * latent
    return posterior_mean(schedule, schedule.alpha(last) * MEAN + deviation(last) * latent, last)


def exact_checkpoint(family, *, sign=1, denoiser=posterior_mean, **more):
    """A checkpoint whose network is exact, or wrong in the sign of what it infers from x_t."""
    schedule, target = FAMILIES[family]

    def predict(x_t, t, condition=None):
        t = t[0].double() if t.is_floating_point() else t[0]
        x = x_t.double()
        x_0 = MEAN + sign * (denoiser(schedule, x, t) - MEAN)
        e = (x - schedule.alpha(t) * x_0) / schedule.sigma(t)
        return target.value(schedule, t, x_0, e).to(x_t)

    return Checkpoint(family, "exact", predict, schedule, target, (2, 1, 1), None, "exact", **more)
