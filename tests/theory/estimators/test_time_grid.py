"""Places between calibrated times: near times have places of their own, also once remembered."""

import torch

from theory.diffusion.schedules import VPLinear
from theory.estimators.time_grid import TimeGrid


def test_near_times_have_places_of_their_own():
    grid = TimeGrid(VPLinear(), torch.tensor([0.1, 0.9], dtype=torch.float64))
    ask = (0.5001, 0.5003, 0.5001)
    first, second, again = (
        grid.around(torch.tensor([t], dtype=torch.float64)).later.item() for t in ask
    )
    assert first < second and again == first
