"""The network that the repaired folder beside this file was made of."""

import torch
from torch import nn

from theory.schedules import VPLinear
from theory.targets import NOISE


class Tiny(nn.Module):
    """One convolution with weights that a formula gives."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 3, padding=1)
        with torch.no_grad():
            self.layer.weight.copy_(torch.linspace(-0.3, 0.4, 9).reshape(1, 1, 3, 3))
            self.layer.bias.fill_(0.25)

    def forward(self, x_t, t):
        return self.layer(x_t)


def network():
    return Tiny(), VPLinear(), NOISE, (1, 4, 4)
