"""``python -m toy example``: a user's file to start from, which ``python -m toy verify`` takes."""

import argparse
from typing import Any

SCHEDULE = '''"""python -m toy verify --schedule mine.py:Mine"""

from theory import Schedule


class Mine(Schedule):
    t_min, t_max = 0.001, 0.999
    alpha = lambda self, t: 1 - t.double()
    sigma = lambda self, t: t.double()
    d_alpha = lambda self, t: 0 * t.double() - 1
    d_sigma = lambda self, t: 0 * t.double() + 1
    time_of = lambda self, log_snr: 1 / (1 + (log_snr / 2).exp())
'''

MODEL = '''"""python -m toy verify --model mine.py:mine"""

import torch

from theory import VPLinear
from theory.targets import NOISE
from toy import Diffusion, GaussianMixture, Model

data = GaussianMixture.diagonal(torch.ones(1), torch.tensor([[2.0]]), torch.tensor([0.25]))


def predict(x_t, t, condition=None):
    alpha, sigma = VPLinear().alpha(t)[:, None], VPLinear().sigma(t)[:, None]
    return sigma * (x_t - 2.0 * alpha) / (0.25 * alpha**2 + sigma**2)


mine = Model(predict, Diffusion(data, VPLinear()), target=NOISE)
'''

SCORE = '''"""python -m toy verify --model mine.py:score"""

import torch

from theory import VPLinear
from toy import Diffusion, GaussianMixture

data = GaussianMixture.diagonal(torch.ones(1), torch.tensor([[2.0]]), torch.tensor([0.25]))
diffusion = Diffusion(data, VPLinear())


def score(x_t, t):
    alpha, sigma = VPLinear().alpha(t)[:, None], VPLinear().sigma(t)[:, None]
    return -(x_t - 2.0 * alpha) / (0.25 * alpha**2 + sigma**2)
'''

EXAMPLES = {"schedule": SCHEDULE, "model": MODEL, "score": SCORE}
"""Files that hold, by what they show."""


def add(commands: Any) -> None:
    """Add the parser of the subcommand."""
    parser = commands.add_parser(
        "example",
        description="Print a file of about ten lines that holds: a schedule, a model with its "
        "diffusion and target, or a score. Change it into your own; its first line says how it is "
        "tried.",
        epilog="example: python -m toy example schedule > mine.py",
    )
    parser.add_argument("kind", choices=list(EXAMPLES), help="what the file shows")


def run(options: argparse.Namespace) -> int:
    """Print the file."""
    print(EXAMPLES[options.kind], end="")
    return 0
