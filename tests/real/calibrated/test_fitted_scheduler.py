"""A fitted solver inside a pipeline of diffusers draws what ``sample`` draws."""

import json
from dataclasses import replace

import pytest
import torch
from diffusers import DiffusionPipeline

from real.calibrated.drop_in import attach
from real.calibrated.fitted_scheduler import FittedScheduler, fitted_scheduler
from real.calibrated.fitted_solvers import fit_checkpoint_solver, unfitted_solver
from real.checkpoints import load
from real.images.base import ImageSource
from real.solvers.fitted import as_solver
from real.solvers.sampling import sample
from tests.real import tiny_pipelines
from tests.real.exact import exact_checkpoint
from theory.calibration import Calibrated, calibrate
from theory.sampling.fitted import FittedSolver
from theory.support.errors import InputError

STEPS = 4
KINDS = {"ddpm": "ddim", "sd1": "ddim", "sd2": "dpm-multi-2", "dit": "ddim", "sd3-t5": "flow-euler"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pipelines")
    return {kind: tiny_pipelines.save(kind, root / kind) for kind in KINDS}


def conditions(checkpoint, count):
    if checkpoint.conditions is None:
        return None
    return ["a cat"] * count if checkpoint.conditions == "text" else torch.full((count,), 7)


def fitted(checkpoint, solver, parts=("trajectory",), **more):
    drawn = torch.Generator().manual_seed(0)
    images = 0.5 * torch.randn(40, *checkpoint.shape, generator=drawn) + 0.2
    return fit_checkpoint_solver(
        checkpoint, more.get("predict", checkpoint.predict), (solver,), STEPS,
        images=None if parts == ("trajectory",) else ImageSource.of("drawn", images),
        conditions=conditions(checkpoint, 2), parts=parts, starts=16, fresh=16,
    )  # fmt: skip


def through(pipe, noise):
    """Latents that a pipeline ends with, from this noise, without guidance."""
    name = type(pipe).__name__
    if name == "DDPMPipeline":
        x = noise.float()
        pipe.scheduler.set_timesteps(STEPS)
        for t in pipe.scheduler.timesteps:
            x = pipe.scheduler.step(pipe.unet(x, t).sample, t, x).prev_sample
        return x
    common = {"num_inference_steps": STEPS, "guidance_scale": 1.0, "output_type": "latent"}
    pipe.set_progress_bar_config(disable=True)
    if name == "DiTPipeline":
        seen = {}
        end = pipe.scheduler.step

        def step(*given, **more):
            seen["x"] = end(*given, **more)
            return seen["x"]

        pipe.scheduler.step = step
        generator = torch.Generator().manual_seed(5)
        pipe([7] * len(noise), generator=generator, num_inference_steps=STEPS, guidance_scale=1.0)
        return seen["x"].prev_sample
    return pipe(["a cat"] * len(noise), latents=noise.float(), **common).images


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipeline_samples_as_the_program_does(kind, folders):
    checkpoint = load(folders[kind])
    solver = fitted(checkpoint, KINDS[kind])
    pipe = DiffusionPipeline.from_pretrained(folders[kind])
    pipe.scheduler = fitted_scheduler(solver)
    noise = torch.randn(2, *checkpoint.shape, generator=torch.Generator().manual_seed(5))
    plain = replace(checkpoint, codec=None)
    expected = sample(
        plain, checkpoint.predict, noise, solver=as_solver(solver), nfe=STEPS,
        condition=conditions(checkpoint, 2),
    )  # fmt: skip
    found = through(pipe, noise)
    assert torch.allclose(found.clamp(-1, 1), expected.images, atol=2e-4)


def test_a_start_is_shown_to_the_network_by_pipelines_that_scale_their_input(folders):
    checkpoint = load(folders["sd1"])
    solver = fitted(checkpoint, "ddim", ("start", "trajectory", "marginals"))
    assert solver.start is not None
    pipe = DiffusionPipeline.from_pretrained(folders["sd1"])
    pipe.scheduler = fitted_scheduler(solver)
    noise = torch.randn(2, *checkpoint.shape, generator=torch.Generator().manual_seed(5))
    expected = sample(
        replace(checkpoint, codec=None), checkpoint.predict, noise, solver=as_solver(solver),
        nfe=STEPS, condition=["a cat"] * 2,
    )  # fmt: skip
    assert torch.allclose(through(pipe, noise).clamp(-1, 1), expected.images, atol=2e-4)
    with pytest.raises(InputError, match="fit with --parts trajectory,marginals"):
        scheduler = fitted_scheduler(solver)
        scheduler.step(noise, scheduler.timesteps[0], noise)


def test_it_goes_together_with_a_calibration(folders):
    checkpoint = load(folders["ddpm"])
    calibration = calibrate(
        checkpoint.predict, checkpoint.schedule, target=checkpoint.target, times=[0, 500, 999],
        images=torch.randn(20, *checkpoint.shape, generator=torch.Generator().manual_seed(1)),
        provenance={"fingerprint": checkpoint.fingerprint},
    )  # fmt: skip
    solver = fitted(checkpoint, "ddim", predict=Calibrated(checkpoint.predict, calibration))
    pipe = DiffusionPipeline.from_pretrained(folders["ddpm"])
    pipe.scheduler = fitted_scheduler(solver)
    noise = torch.randn(2, *checkpoint.shape, generator=torch.Generator().manual_seed(5))
    with attach(pipe, calibration):
        found = through(pipe, noise)
    expected = sample(
        checkpoint, Calibrated(checkpoint.predict, calibration), noise, solver=as_solver(solver),
        nfe=STEPS,
    )  # fmt: skip
    assert torch.allclose(found.clamp(-1, 1), expected.images, atol=2e-4)


def test_it_is_saved_and_read_like_a_scheduler(folders, tmp_path):
    solver = fitted(load(folders["ddpm"]), "ddim")
    fitted_scheduler(solver).save_pretrained(tmp_path)
    again = FittedScheduler.from_pretrained(tmp_path)
    assert torch.equal(again.timesteps, solver.base.times)
    config = json.loads((tmp_path / "scheduler_config.json").read_text())
    assert (config["_class_name"], config["num_inference_steps"]) == ("FittedScheduler", STEPS)
    path = tmp_path / "f.safetensors"
    solver.save(path)
    assert torch.equal(fitted_scheduler(path).timesteps, solver.base.times)


def test_a_whole_pipeline_is_saved_and_read_with_it(folders, tmp_path):
    pipe = DiffusionPipeline.from_pretrained(folders["ddpm"])
    pipe.scheduler = fitted_scheduler(fitted(load(folders["ddpm"]), "ddim"))
    pipe.save_pretrained(tmp_path)
    again = DiffusionPipeline.from_pretrained(tmp_path)
    noise = torch.randn(2, *pipe.scheduler.solver.shape, generator=torch.Generator().manual_seed(5))
    assert torch.equal(through(again, noise), through(pipe, noise))


def test_what_was_not_fitted_is_refused(folders):
    solver = fitted(load(folders["ddpm"]), "ddim")
    scheduler = fitted_scheduler(solver)
    with pytest.raises(InputError, match="num_inference_steps=4, as it was fitted, got 10"):
        scheduler.set_timesteps(10)
    with pytest.raises(InputError, match="got timesteps"):
        scheduler.set_timesteps(timesteps=[5, 3])
    x = torch.zeros(1, *solver.shape)
    with pytest.raises(InputError, match="from the first"):
        scheduler.step(x, scheduler.timesteps[2], x)
    with pytest.raises(InputError, match="not from an image"):
        scheduler.add_noise(x, x, scheduler.timesteps[:1])
    with pytest.raises(InputError, match="fitted_scheduler"):
        FittedScheduler(4).set_timesteps(4)
    bare = FittedSolver(solver.shape, solver.base, solver.added, solver.maps)
    with pytest.raises(InputError, match="names no schedule"):
        fitted_scheduler(bare)


def test_a_step_takes_the_mean_of_a_learned_variance_and_answers_as_it_is_asked():
    solver = unfitted_solver(exact_checkpoint("table"), "ddim", STEPS)
    x, y, variance = torch.randn(3, 2, 2, 1, 1, generator=torch.Generator().manual_seed(0))

    def step(output, **asked):
        scheduler = fitted_scheduler(solver)
        return scheduler.step(output, scheduler.timesteps[0], x, **asked)

    expected = step(y).prev_sample
    assert expected.shape == x.shape
    assert torch.equal(step(torch.cat([y, variance], 1)).prev_sample, expected)
    (alone,) = step(y, return_dict=False)
    assert torch.equal(alone, expected)
    halved = step(y.half()).prev_sample
    assert halved.dtype == x.dtype and torch.allclose(halved, expected, atol=1e-2)


def test_a_pipeline_that_it_was_not_fitted_to_is_refused(folders):
    checkpoint = load(folders["ddpm"])
    pipe = DiffusionPipeline.from_pretrained(folders["ddpm"])
    solver = fitted(checkpoint, "ddim")
    bare, calibrated = (
        replace(solver, provenance={**solver.provenance, "calibrations": made})
        for made in ([None, None], ["digest", None])
    )
    calibration = calibrate(
        checkpoint.predict, checkpoint.schedule, target=checkpoint.target, times=[0, 500, 999],
        images=torch.randn(20, *checkpoint.shape, generator=torch.Generator().manual_seed(1)),
        provenance={"fingerprint": checkpoint.fingerprint},
    )  # fmt: skip
    assert fitted_scheduler(bare, pipe).solver is bare
    assert fitted_scheduler(bare, pipe.to(torch.float16)).solver is bare
    pipe = DiffusionPipeline.from_pretrained(folders["ddpm"])
    with pytest.raises(InputError, match="expected it to be attached before"):
        fitted_scheduler(calibrated, pipe)
    with attach(pipe, calibration):
        assert fitted_scheduler(calibrated, pipe).solver is calibrated
        with pytest.raises(InputError, match="expected none to be attached"):
            fitted_scheduler(bare, pipe)
    other = DiffusionPipeline.from_pretrained(folders["sd1"])
    with pytest.raises(InputError, match="whose weights are not those of this pipeline"):
        fitted_scheduler(bare, other)
