"""Solvers of diffusers as weights, and fitted ones among the others."""

import pytest
import torch

from real.solvers.by_name import NAMED
from real.solvers.fitted import as_solver, clipping_of, clips_by_itself, linear_solver
from real.solvers.sampling import sample
from tests.real.exact import exact_checkpoint
from theory.sampling.fitted import FittedSolver
from theory.sampling.multistep import first_order, second_order
from theory.support.errors import InputError

NOISE = torch.randn(50, 2, 1, 1, generator=torch.Generator().manual_seed(0)).double()
LINEAR = [name for name in NAMED if name not in ("ddpm", "heun-churn")]


def as_weights(checkpoint, name, nfe):
    base = linear_solver(checkpoint, name, nfe)
    nothing = (None,) * len(base)
    return as_solver(FittedSolver(checkpoint.shape, base, nothing, nothing)), len(base)


@pytest.mark.parametrize("family", ["vp", "edm", "flow", "table"])
@pytest.mark.parametrize("name", LINEAR)
def test_a_solver_and_its_weights_draw_the_same_samples(family, name):
    checkpoint = exact_checkpoint(family)
    solver, nfe = as_weights(checkpoint, name, 7)
    drawn = [
        sample(checkpoint, checkpoint.predict, NOISE, solver=which, nfe=nfe).images
        for which in (name, solver)
    ]
    assert torch.allclose(*drawn, atol=2e-4)  # diffusers keeps float32 in places


@pytest.mark.parametrize(("name", "make"), [("ddim", first_order), ("dpm-multi-2", second_order)])
def test_the_weights_in_closed_form_are_those_of_diffusers(name, make):
    checkpoint = exact_checkpoint("table")
    found = linear_solver(checkpoint, name, 7)
    expected = make(checkpoint.schedule, found.times)
    assert torch.allclose(found.weights, expected.weights, atol=1e-6)


@pytest.mark.parametrize("name", ["ddpm", "heun-churn"])
def test_a_solver_with_noise_of_its_own_is_refused(name):
    with pytest.raises(InputError, match="without noise of its own"):
        linear_solver(exact_checkpoint("vp"), name, 5)


def test_another_number_of_evaluations_is_refused():
    checkpoint = exact_checkpoint("vp")
    solver, _ = as_weights(checkpoint, "ddim", 5)
    with pytest.raises(InputError, match="expected 5 evaluations, as it was fitted, got 6"):
        sample(checkpoint, checkpoint.predict, NOISE, solver=solver, nfe=6)


@pytest.mark.parametrize("name", LINEAR)
def test_only_ddim_clips_by_itself(name):
    """As its samples show, of a network that is to be clipped far within its data."""
    config = {"clip_sample": True, "clip_sample_range": 0.05}
    clipped, plain = exact_checkpoint("table", scheduler_config=config), exact_checkpoint("table")
    drawn = [
        sample(checkpoint, checkpoint.predict, NOISE, solver=name, nfe=7).images
        for checkpoint in (clipped, plain)
    ]
    assert torch.equal(*drawn) == (not clips_by_itself(name)) == (name != "ddim")


def test_clipping_is_that_of_the_networks_configuration():
    config = {"clip_sample": True, "clip_sample_range": 1.5}
    assert clipping_of(exact_checkpoint("table", scheduler_config=config)).most == 1.5
    assert clipping_of(exact_checkpoint("table")) is None
    with pytest.raises(InputError, match="thresholds"):
        clipping_of(exact_checkpoint("table", scheduler_config={"thresholding": True}))
