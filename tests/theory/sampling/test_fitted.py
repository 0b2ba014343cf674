"""A fitted solver by hand: what a step adds, maps and clips, and what a file keeps of it."""

from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.refusals import refusal
from theory.diffusion.data_range import DataRange
from theory.sampling.cells import CellWeights, partition
from theory.sampling.fitted import FittedSolver
from theory.sampling.marginal_fit import MomentMap
from theory.sampling.multistep import Multistep
from theory.sampling.start import DataStart

SHAPE = (1, 1, 2)
WHOLE = partition("whole", SHAPE)
BASE = Multistep(
    torch.tensor([1.0, 0.5]).double(),
    torch.tensor([-1.0, 1.0]).double(),
    torch.tensor([[0.5, 0.25], [0.5, 0.25]]).double(),
)
ADDED = CellWeights(WHOLE, torch.tensor([[1.0], [10.0], [100.0]]).double())
MAP = MomentMap(
    WHOLE,
    torch.tensor([2.0]).double(),
    torch.tensor([1.0, 3.0]).double(),
    torch.tensor([0.25, -0.5]).double(),
)
START = DataStart(
    torch.tensor([[[0.5, -0.5]]]).double(),
    torch.tensor([[0.6, 0.8]]).double(),
    torch.tensor([0.5]).double(),
    0.8,
)
SOLVER = FittedSolver(SHAPE, BASE, (None, ADDED), (MAP, None), START, DataRange(-0.5, 2.0))
U, FIRST, SECOND = (torch.full((1, *SHAPE), value).double() for value in (2.0, 3.0, 5.0))


def test_a_map_moves_what_the_step_gives_about_the_mean_that_was():
    """u -> m + o + g (u - m), with u = 0.5 * 2 + 0.25 * 3 = 1.75 in both pixels."""
    moved = SOLVER.step(0, U, [FIRST])
    expected = [1.0 + 0.25 + 2 * (1.75 - 1.0), 3.0 - 0.5 + 2 * (1.75 - 3.0)]
    assert torch.allclose(moved.flatten(), torch.tensor(expected).double())


def test_what_is_added_knows_the_newest_prediction_first():
    moved = SOLVER.step(1, U, [FIRST, SECOND])
    expected = 0.5 * 2 + 0.25 * 5 + 1 * 2 + 10 * 5 + 100 * 3
    assert torch.allclose(moved, torch.full_like(U, expected))


def test_predictions_are_clipped_where_a_range_is_known():
    x_0 = torch.tensor([[[[-1.0, 3.0]]]]).double()
    assert SOLVER.clipped(x_0).flatten().tolist() == [-0.5, 2.0]
    assert replace(SOLVER, clip=None).clipped(x_0) is x_0


@pytest.mark.parametrize(("part", "what"), [("added", "additions"), ("maps", "maps")])
def test_each_step_has_its_own_addition_and_map(part, what):
    with refusal(f"fitted solver: expected 2 {what}, got 1"):
        replace(SOLVER, **{part: (None,)})


def test_a_file_keeps_every_number(tmp_path):
    SOLVER.save(tmp_path / "s.safetensors")
    again = FittedSolver.load(tmp_path / "s.safetensors")
    assert again.clip == SOLVER.clip
    assert torch.equal(again.begin(U), SOLVER.begin(U))
    for i, data in enumerate(([FIRST], [FIRST, SECOND])):
        assert torch.equal(again.step(i, U, data), SOLVER.step(i, U, data))


def test_all_of_it_moves_to_the_dtype_of_the_trajectories():
    single = SOLVER.to(U.float())
    begun, moved = single.begin(U.float()), single.step(1, U.float(), [FIRST.float()] * 2)
    assert begun.dtype == moved.dtype == single.step(0, begun, [begun]).dtype == torch.float32
    assert torch.allclose(begun.double(), SOLVER.begin(U), atol=1e-6)
    for i, data in enumerate(([FIRST], [FIRST, SECOND])):
        moved = single.step(i, U.float(), [x.float() for x in data])
        assert torch.allclose(moved.double(), SOLVER.step(i, U, data), atol=1e-5)


@pytest.mark.parametrize(
    "name",
    ["added.1", "map.0.gain", "map.0.centre", "map.0.offset", "start.mean", "start.directions"],
)
@pytest.mark.parametrize("change", [torch.Tensor.float, lambda x: x.repeat(*[2] * x.dim())])
def test_a_file_of_another_shape_or_precision_is_refused(tmp_path, name, change):
    path = tmp_path / "f.safetensors"
    SOLVER.save(path)
    with safe_open(path, "pt") as file:
        texts = file.metadata()
    tensors = load_file(path)
    tensors[name] = change(tensors[name]).contiguous()
    save_file(tensors, path, texts)
    with refusal(f"expected {name} float64"):
        FittedSolver.load(path)
