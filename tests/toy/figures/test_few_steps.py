"""What is fitted to few steps comes nearer to what it is fitted to, and each curve is of its solver."""

import pytest
import torch

from theory.sampling.fitted import FittedSolver
from theory.sampling.flow import Flow
from theory.sampling.multistep import second_order
from toy.figures import fitted_solvers
from toy.figures.common import log_snr_grid_between, mixture_on_line
from toy.figures.fitted_solvers import SHAPE, compute_few_steps

SMALL = {"EVALUATIONS": (3, 5), "IMAGES": 1000, "STARTS": 32, "FRESH": 100, "FINE": 4}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    for name, value in SMALL.items():
        monkeypatch.setattr(fitted_solvers, name, value)


def test_a_solver_that_is_fitted_to_the_flow_or_the_data_is_nearer_to_it():
    found = compute_few_steps(1)
    assert found.evaluations.tolist() == [3, 5]
    flow, data = found.to_flow, found.to_data
    assert list(flow) == list(data) and len(flow) == 4
    assert (flow["DDIM, trajectory fitted"] < 0.7 * flow["DDIM"]).all()
    assert (data["DDIM, all fitted"] < 0.7 * data["DDIM"]).all()
    for name, distances in data.items():
        assert (distances < 1.5).all() and (flow[name] < 1.5).all()
        assert distances.unique().numel() == 2
    other = compute_few_steps(2)
    assert all((other.to_flow[name] != flow[name]).all() for name in flow)
    assert all((other.to_data[name] != data[name]).all() for name in data)


def test_the_second_solver_is_of_the_second_order(monkeypatch):
    law, solved, solve = mixture_on_line(), [], Flow.solve

    def kept(flow, solver, x, *conditions):
        if not conditions:
            solved.append(solver.base.weights)
        return solve(flow, solver, x, *conditions)

    def unfitted(flow, base, *_, **__):
        return FittedSolver(SHAPE, base, (None,) * len(base), (None,) * len(base))

    monkeypatch.setattr(Flow, "solve", kept)
    monkeypatch.setattr(fitted_solvers, "fit_solver", unfitted)
    compute_few_steps(1)
    for k, n in enumerate((3, 5)):
        times = log_snr_grid_between(law, 1.0, 0.01, n - 1)
        expected = second_order(law.schedule, times).weights
        assert [torch.equal(w, expected) for w in solved[4 * k : 4 * k + 2]] == [False, True]
