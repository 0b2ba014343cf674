"""Places between calibrated times: near times have places of their own, also once remembered."""

import pytest
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


def test_the_widest_gap_is_of_neighbours_in_any_order():
    schedule = VPLinear()
    times = schedule.time_of(torch.tensor([3.0, -1.0, 1.5], dtype=torch.float64))
    assert TimeGrid(schedule, times).widest_gap == pytest.approx(2.5)
    assert TimeGrid(schedule, times[:1]).widest_gap == torch.inf
