"""Rows that are kept where they are used are those of the tensor, moved once."""

import pytest
import torch

from theory.calibration import Calibrated, calibrate
from theory.diffusion.schedules import VPCosine
from theory.estimators.placed_rows import PlacedRows
from theory.estimators.time_grid import TimeGrid
from theory.forward.keyed_noise import keyed_noise

SCHEDULE = VPCosine()
TIMES = SCHEDULE.times([0.2, 0.5, 0.8])


def normal(*shape, seed=0):
    return keyed_noise(seed, "rows", 0, 0, torch.arange(1), shape)[0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_rows_between_times_are_those_of_the_tensor(dtype):
    values, grid, like = normal(3, 4, 5), TimeGrid(SCHEDULE, TIMES), torch.zeros((), dtype=dtype)
    rows = PlacedRows(values)
    for t in (0.2, 0.35, 0.5, 0.6, 0.8):
        at = grid.around(torch.tensor([t], dtype=torch.float64))
        found, exact = rows.between(at, like), at.interpolate(values)
        assert found.dtype == dtype
        room = 0 if t in (0.2, 0.5, 0.8) else 4 * torch.finfo(dtype).eps
        assert torch.allclose(found.double(), exact.to(dtype).double(), rtol=0, atol=4 * room)
    several = grid.around(torch.tensor([0.35, 0.6], dtype=torch.float64))
    assert torch.equal(rows.between(several, like), several.interpolate(values).to(dtype))


def test_rows_are_moved_once_and_only_those_that_are_used():
    rows, grid = PlacedRows(normal(3, 4)), TimeGrid(SCHEDULE, TIMES)
    like = torch.zeros((), dtype=torch.float32)
    first = rows.between(grid.around(torch.tensor([0.2], dtype=torch.float64)), like)
    assert (
        rows.between(grid.around(torch.tensor([0.2], dtype=torch.float64)), like).data_ptr()
        == first.data_ptr()
    )
    assert len(rows._copies) == 1


def test_zero_rows_are_known():
    rows = PlacedRows(torch.tensor([[0.0], [0.0], [1.0]], dtype=torch.float64))
    grid = TimeGrid(SCHEDULE, TIMES)
    assert rows.zero(grid.around(torch.tensor([0.3])))
    assert not rows.zero(grid.around(torch.tensor([0.6])))


def test_one_time_for_all_is_as_the_same_time_for_each():
    """The way of samplers, which remembers, against the way of times that differ."""
    images = normal(200, 1, 8, 8).float()

    def predict(x_t, t, condition=None):
        return 0.8 * x_t + 0.3 + 0.2 * x_t.mean((1, 2, 3), keepdim=True)

    calibration = calibrate(
        predict, SCHEDULE, images=images, times=torch.linspace(0.1, 0.9, 9), order=1
    )
    assert set(calibration.slopes.kinds) != {"none"}
    calibrated = Calibrated(predict, calibration)
    x_t, other = normal(4, 1, 8, 8, seed=1).float(), torch.tensor([0.77])
    for t in (0.1, 0.15, 0.33, 0.5, 0.9, 0.95):
        together = calibrated(x_t, torch.full((4,), t))
        mixed = calibrated(torch.cat([x_t, x_t[:1]]), torch.cat([torch.full((4,), t), other]))[:4]
        torch.testing.assert_close(together, mixed, rtol=0, atol=2e-6)
        assert torch.equal(together, calibrated(x_t, torch.tensor(t).expand(4)))
