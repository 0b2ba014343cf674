"""The study of solvers: what is sampled, from what, and what the search for a factor takes."""

from dataclasses import replace

import pytest
import torch

from real.calibrated.fitted_solvers import unfitted_solver
from real.experiments import solver_study
from real.experiments.solver_study import FITTED, SOLVERS, SolverPlan
from real.images.opening import open_images
from real.quality.features import PIXELS
from real.quality.measure import Reference, Sampler
from real.solvers.by_name import EVENLY
from real.solvers.sampling import latents, sample
from tests.real.exact import FAMILIES, exact_checkpoint
from theory.diffusion.targets import data_and_noise

CPU = torch.device("cpu")


@pytest.fixture
def plan(digits_checkpoint):
    images = open_images("digits", "calibration", (1, 8, 8), limit=20)
    return SolverPlan(digits_checkpoint, images, (3, 4), 4, (7, 8), 6, None, CPU)


@pytest.fixture(scope="module")
def reference():
    return Reference.of(PIXELS, open_images("digits", "held-out", (1, 8, 8), limit=20), CPU)


def test_samples_start_from_the_noise_of_their_seed(plan, reference):
    network = plan.checkpoint
    found = solver_study._distances(plan, reference, Sampler(network.predict, "ddpm"), 3, 7)
    drawn = sample(
        network, network.predict, latents(network, 6, 7), solver="ddpm", nfe=3, seed=7
    ).images
    expected = reference.against(drawn, 7, 6)
    assert found == pytest.approx({name: expected[name] for name in ("frechet", "kid")})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_factor_is_that_of_the_noise_and_the_image_is_what_is_left(family):
    """x_t = alpha x_0 + sigma e goes on to hold."""
    checkpoint = exact_checkpoint(family)
    schedule, target = checkpoint.schedule, checkpoint.target
    t = schedule.grid(5)[2:3]
    x_t = torch.randn(3, 2, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scaled = solver_study._with_scaled_noise(checkpoint, 0.9, x_t, t)
    _, own = data_and_noise(checkpoint.predict(x_t, t), x_t, t, target, schedule)
    e = 0.9 * own
    x_0 = (x_t - schedule.sigma(t) * e) / schedule.alpha(t)
    torch.testing.assert_close(scaled, target.value(schedule, t, x_0, e))


def test_the_best_factor_is_searched_for_on_starts_of_its_own(plan, reference, monkeypatch):
    seen = []

    def distances(plan, reference, sampler, nfe, seed):
        checkpoint, factor = sampler.predict.args
        seen.append((checkpoint is plan.checkpoint, sampler.solver, nfe, seed))
        return {"frechet": abs(factor - 0.98), "kid": abs(factor - 1)}

    monkeypatch.setattr(solver_study, "_distances", distances)
    sampler, spent = solver_study._searched(plan, reference, 3)
    assert sampler.predict.args == (plan.checkpoint, 0.98)
    assert spent == 5 * 6 * 3
    assert set(seen) == {(True, "ddim", 3, solver_study.SEARCH_SEED)} and len(seen) == 5


def test_every_solver_is_tried_and_those_that_are_fitted_say_what_it_took(
    plan, reference, monkeypatch
):
    asked = []

    def fit(checkpoint, predict, solvers, nfe, *, parts, images, **options):
        asked.append((solvers, parts, images is plan.images))
        unfitted = unfitted_solver(checkpoint, solvers[0], nfe)
        return replace(unfitted, figures={"evaluations_fitting": len(asked)})

    searched = Sampler(torch.neg, "ddim"), 90
    monkeypatch.setattr(solver_study, "_searched", lambda *given: searched)
    monkeypatch.setattr(solver_study, "fit_checkpoint_solver", fit)
    odd, even = (solver_study._samplers(plan, reference, nfe) for nfe in (3, 4))
    assert odd.keys() - even.keys() == {"heun"}
    assert asked == [(("ddim", EVENLY), parts, True) for parts in FITTED.values()] * 2
    spent = {name: each for name, (_, each) in odd.items()}
    assert spent == dict.fromkeys(SOLVERS, 0) | {"epsilon scaling": 90} | dict(
        zip(FITTED, (1, 2, 3, 4), strict=True)
    )
    assert all(odd[name][0].solver == name for name in SOLVERS)
    assert all(odd[name][0].name == "fitted ddim" for name in FITTED)
    beyond = solver_study._samplers(plan, reference, 5)
    assert {name: (way.solver, each) for name, (way, each) in beyond.items()} == {
        "ddim": ("ddim", 0), "dpm-multi-2": ("dpm-multi-2", 0),
    }  # fmt: skip


def test_parts_of_a_fit_are_those_of_its_name():
    for name in ("start", "trajectory", "marginals"):
        assert FITTED[f"fitted: {name}"] == (name,)
    assert set(FITTED["fitted"]) == {"start", "trajectory", "marginals"}


def test_a_row_says_of_which_solver_number_and_seed_it_is(plan, reference, monkeypatch):
    ways = {"one": (Sampler(torch.neg, "ddim"), 5), "other": (Sampler(torch.neg, "deis"), 6)}
    monkeypatch.setattr(solver_study, "_samplers", lambda *given: ways)
    monkeypatch.setattr(
        solver_study, "_distances",
        lambda plan, reference, sampler, nfe, seed: {"frechet": f"{sampler.solver} {nfe} {seed}"},
    )  # fmt: skip
    assert list(solver_study.solver_study(plan, reference)) == [
        {"solver": name, "nfe": nfe, "seed": seed, "spent": spent,
         "frechet": f"{sampler.solver} {nfe} {seed}"}
        for nfe in (3, 4)
        for name, (sampler, spent) in ways.items()
        for seed in (7, 8)
    ]  # fmt: skip
