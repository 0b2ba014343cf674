"""What a refusal of a solver says: what was expected and what came, in full."""

from functools import partial

import pytest
import torch

from real.calibrated.fitted_solvers import unfitted_solver
from real.solvers.by_name import NAMED, solver_named
from real.solvers.fitted import as_solver, linear_solver
from real.solvers.grids import as_trained
from real.solvers.sampling import sample
from tests.real.exact import exact_checkpoint
from tests.refusals import exact_refusal

PLAIN = exact_checkpoint("table")
drawn = partial(sample, PLAIN, PLAIN.predict, torch.zeros(3, 2, 1, 1), seed=0)

REFUSALS = {
    "condition: expected one per sample (3), got 2":
        partial(drawn, solver="ddim", nfe=2, condition=torch.zeros(2).long()),
    "nfe: expected at least 1, got 0": partial(drawn, solver="ddim", nfe=0),
    "fitted solver: expected 3 evaluations, as it was fitted, got 4":
        partial(as_solver(unfitted_solver(PLAIN, "ddim", 3)).begin, PLAIN.schedule, 4, {}),
    "solver: expected one without noise of its own, got ddpm": partial(linear_solver, PLAIN, "ddpm", 3),
    f"solver: expected one of {', '.join(NAMED)}, got 'magic'": partial(solver_named, "magic"),
    "timestep_spacing: expected leading, trailing or linspace, got 'random'":
        partial(as_trained, PLAIN.schedule, 3, {"timestep_spacing": "random"}),
}  # fmt: skip


@pytest.mark.parametrize("says", REFUSALS)
def test_a_refusal_says_what_was_expected_and_what_came(says):
    with exact_refusal(says):
        REFUSALS[says]()
