"""A Gaussian network whose flow is known, and which may be wrong by a constant or a factor."""

import torch

from theory.diffusion.schedules import VPLinear
from theory.diffusion.targets import NOISE
from theory.forward.network import Network
from theory.sampling.flow import Flow
from theory.sampling.multistep import first_order

SHAPE = (1, 4, 4)
SCHEDULE = VPLinear()
DRAWN = torch.Generator().manual_seed(0)
MEAN = 0.5 * torch.randn(SHAPE, generator=DRAWN, dtype=torch.float64)
DEVIATION = 0.3 + 0.5 * torch.rand(SHAPE, generator=DRAWN, dtype=torch.float64)
TIMES = torch.linspace(0.98, 0.05, 5, dtype=torch.float64)


def network(bias=0.0, factor=1.0, curved=0.0):
    """The exact network of N(MEAN, DEVIATION^2) in pixels, or a wrong one."""

    def predict(x_t, t, condition=None):
        alpha, sigma = SCHEDULE.alpha(t[:1].double()), SCHEDULE.sigma(t[:1].double())
        total = alpha**2 * DEVIATION**2 + sigma**2
        e = sigma / total * (x_t.double() - alpha * MEAN)
        return (factor * (e + curved * torch.tanh(x_t.double())) + bias).to(x_t)

    return Network(predict, SCHEDULE, NOISE)


def flow(**wrong):
    return Flow(network(**wrong), batch_size=50)


def solver(times=TIMES):
    return first_order(SCHEDULE, times)


def images(count, seed=1):
    drawn = torch.Generator().manual_seed(seed)
    return MEAN + DEVIATION * torch.randn(count, *SHAPE, generator=drawn, dtype=torch.float64)
