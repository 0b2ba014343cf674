"""Ways to sample that are chosen from: under guidance both branches are calibrated, each by its law."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler

from real.calibrated.candidates import (
    FITTED,
    HIGH_NOISE,
    NOTHING,
    ORDER_0,
    ORDER_1,
    Branches,
    Candidates,
    meaning_of,
)
from real.calibrated.fitted_solvers import fit_checkpoint_solver, load_fitted, unfitted_solver
from real.calibrated.guidance import Guided
from real.checkpoints import load
from real.cli import main
from real.experiments.training.networks import unet
from real.images.base import ImageSource
from real.images.opening import open_images
from real.quality import choice
from real.solvers.sampling import solver_times
from tests.real.exact import exact_checkpoint
from tests.refusals import refusal
from theory.calibration import Calibrated, Calibration
from theory.estimators.constant_shift import ConstantShift
from theory.forward.fingerprints import image_ids
from theory.sampling.fit import LEAST_STARTS
from theory.sampling.fitted import START, TRAJECTORY
from theory.support.errors import InputError

GUIDANCE = 0.5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An untrained network of three classes and a null one, and labelled images: a shade for each."""
    folder = tmp_path_factory.mktemp("guided")
    network = unet(
        0, 1, 8, layers_per_block=1, block_out_channels=(8, 16), num_class_embeds=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    DDPMPipeline(network, DDPMScheduler()).save_pretrained(folder / "net")
    index = folder / "net" / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"null_class": 3}))
    labels = np.arange(96) % 3
    noise = np.random.default_rng(0).integers(0, 120, (96, 8, 8))
    images = (noise + 60 * labels[:, None, None]).astype(np.uint8)
    np.savez(folder / "images.npz", images=images, labels=labels)
    return folder


@pytest.fixture(scope="module")
def candidates(folder):
    checkpoint = load(folder / "net")
    images = open_images(str(folder / "images.npz"), "calibration", checkpoint.shape)
    flow = {"batch_size": 64, "device": torch.device("cpu"), "on_progress": None}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("real.calibrated.candidates.SPREAD", 4)
        made = Candidates(checkpoint, images, ("ddim",), 3, (), GUIDANCE, 0, flow).made()
        return checkpoint, {name: each for name, each in made if "fitted" not in name}


def test_every_candidate_is_guided(candidates):
    checkpoint, made = candidates
    x_t, t, labels = (
        torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)),
        500,
        [0, 1, 2],
    )
    seen = x_t, torch.full((3,), t), torch.tensor(labels)
    bare = Guided(checkpoint.predict, checkpoint.predict, 3, GUIDANCE)(*seen)
    predict, _ = made[NOTHING].sampler(checkpoint)
    assert torch.equal(predict(*seen), bare)
    branches = made["order 1"].calibrations
    joint, null = (Calibrated(checkpoint.predict, c) for c in (branches.joint, branches.null))
    predict, _ = made["order 1"].sampler(checkpoint)
    assert torch.equal(predict(*seen), Guided(joint, null, 3, GUIDANCE)(*seen))
    assert not torch.allclose(predict(*seen), bare)


def test_each_branch_is_calibrated_under_its_own_law(candidates):
    """Against calibrations by hand; without guidance the branch without condition is not run."""
    checkpoint, made = candidates
    branches = made["order 0"].calibrations
    assert branches.null is not None and not torch.equal(branches.null.shift, branches.joint.shift)
    assert len(branches.joint.parts) == len(branches.null.parts) == 1
    alone = Branches(0.0, branches.joint)
    x_t, t, labels = torch.ones(2, 1, 8, 8), torch.full((2,), 500), torch.tensor([0, 1])
    expected = Calibrated(checkpoint.predict, branches.joint)(x_t, t, labels)
    assert torch.equal(alone.prediction(checkpoint)(x_t, t, labels), expected)


def of_flow(seed=0):
    """Candidates of an exact network of flow matching."""
    noise = torch.randn(24, 2, 1, 1, generator=torch.Generator().manual_seed(0))
    flow = {"device": "cpu", "on_progress": None}
    images = ImageSource.of("some", noise)
    return Candidates(exact_checkpoint("flow"), images, ("flow-euler",), 3, (), 0.0, seed, flow)


def test_a_calibration_at_high_noise_is_made_where_there_is_no_more_signal_than_noise(monkeypatch):
    """Flow matching at t = 0.5 has as much of either: log-SNR 0, which counts as high noise."""
    times, asked = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64), []
    monkeypatch.setattr(Candidates, "_times", lambda _: times)
    monkeypatch.setattr(
        Candidates, "_branches", lambda _, times: asked.append(times.tolist()) or Branches(0.0)
    )
    assert [name for name, _ in of_flow()._calibrations()] == [ORDER_0, ORDER_1, HIGH_NOISE]
    assert asked == [[0.25, 0.5, 0.75], [0.5, 0.75]]


def test_calibrations_are_at_the_times_of_the_first_solver_and_at_some_between(monkeypatch):
    monkeypatch.setattr("real.calibrated.candidates.SPREAD", 4)
    plan, schedule = (
        replace(of_flow(), solvers=("flow-euler", "ddim")),
        exact_checkpoint("flow").schedule,
    )
    times = [solver_times(plan.checkpoint, name, 3).tolist() for name in plan.solvers]
    assert not set(times[0]) <= {*times[1], *schedule.grid(4).tolist()}
    assert plan._times().tolist() == sorted({*times[0], *schedule.grid(4).tolist()})


def test_calibrations_and_fits_have_the_seed_of_the_candidates(monkeypatch):
    plan, asked = of_flow(seed=11), []

    def fit(checkpoint, predict, solvers, nfe, **options):
        asked.append(options["seed"])
        return unfitted_solver(checkpoint, solvers[0], nfe)

    monkeypatch.setattr("real.calibrated.candidates.fit_checkpoint_solver", fit)
    calibration = plan._calibration(torch.tensor([0.25, 0.5], dtype=torch.float64), "joint")
    plan._fitted(Branches(0.0), (START,))
    assert calibration.provenance["seed"] == 11
    assert asked == [11]


def test_calibrations_are_made_from_so_many_images_at_most_and_fits_from_all(monkeypatch):
    """At the times of the solver and some between."""
    plan, asked = of_flow(), []

    def fit(checkpoint, predict, solvers, nfe, **options):
        asked.append((solvers, nfe, len(options["images"]), options["parts"], options["fresh"]))
        return unfitted_solver(checkpoint, solvers[0], nfe)

    monkeypatch.setattr("real.calibrated.candidates.fit_checkpoint_solver", fit)
    monkeypatch.setattr("real.calibrated.candidates.MOST_IMAGES", 10)
    monkeypatch.setattr("real.calibrated.candidates.SPREAD", 4)
    times, schedule = plan._times(), plan.checkpoint.schedule
    own = solver_times(plan.checkpoint, "flow-euler", 3)
    assert times.tolist() == sorted({*schedule.grid(4).tolist(), *own.tolist()})
    made = plan._calibration(times, "joint")
    few = torch.cat(list(plan.images.spread(10)))
    assert torch.equal(made.image_ids, image_ids(few).sort().values)
    plan._fitted(Branches(0.0), (START,))
    assert asked == [(("flow-euler",), 3, 24, (START,), LEAST_STARTS)]


def test_a_fit_says_of_which_network_solver_and_images_it_is():
    checkpoint = exact_checkpoint("flow", scheduler_config={"num_train_timesteps": 500})
    noise = torch.randn(24, 2, 1, 1, generator=torch.Generator().manual_seed(0))
    fitted = fit_checkpoint_solver(
        checkpoint, checkpoint.predict, ("flow-euler",), 3, images=ImageSource.of("some", noise),
        parts=(START,), starts=16, fresh=16, provenance={"note": "own"},
    )  # fmt: skip
    expected = {
        "checkpoint": "flow", "fingerprint": "exact", "schedule": checkpoint.schedule.describe(),
        "target": "flow", "time_scale": 500, "solver": "flow-euler", "nfe": 3, "data": "some",
        "note": "own",
    }  # fmt: skip
    assert {name: fitted.provenance.get(name) for name in expected} == expected


def test_of_several_solvers_the_one_with_the_least_error_is_fitted(monkeypatch):
    """Of those that are tried under the conditions and with the seed of the fit; else the first."""
    checkpoint, solvers = exact_checkpoint("vp"), ("ddim", "dpm-multi-2", "unipc")
    conditions, asked, errors = torch.arange(16) % 3, [], [0.5, 0.25, 0.75]

    def tried(calls, bases, *given):
        asked.append(given)
        return errors[: len(bases)]

    def fitted(parts, among):
        noise = torch.randn(24, 2, 1, 1, generator=torch.Generator().manual_seed(0))
        return fit_checkpoint_solver(
            checkpoint, checkpoint.predict, among, 3, images=ImageSource.of("some", noise),
            conditions=conditions, parts=parts, starts=16, fresh=16, seed=11,
        )  # fmt: skip

    monkeypatch.setattr("real.calibrated.fitted_solvers.base_errors", tried)
    found = fitted((TRAJECTORY,), solvers)
    ((shape, under, seed),) = asked
    assert (shape, seed) == (checkpoint.shape, 11) and under is conditions
    assert found.provenance["solver"] == "dpm-multi-2"
    assert found.figures["bases"] == dict(zip(solvers, errors, strict=True))
    for parts, among in (((START,), solvers), ((TRAJECTORY,), solvers[2:])):
        first = fitted(parts, among)
        assert first.provenance["solver"] == among[0] and "bases" not in first.figures
    assert len(asked) == 1


def test_one_part_of_one_branch_is_enough_to_change_something(candidates):
    _, made = candidates
    found = made["order 1"].calibrations
    still = replace(found.joint, parts=tuple(map(at_rest, found.joint.parts)))
    assert not Branches(0.5, still, still).change_anything
    assert Branches(0.5, still, found.null).change_anything == any(
        found.null.applied(part).any() for part in found.null.parts
    )
    shifted = replace(still.constant, weights=torch.ones_like(still.constant.weights))
    one = replace(still, parts=(shifted, *still.parts[1:]))
    assert Branches(0.0, one).change_anything and Branches(0.5, still, one).change_anything
    assert not Branches(0.0).change_anything


def at_rest(part):
    """The part, applied nowhere."""
    if isinstance(part, ConstantShift):
        return replace(part, weights=torch.zeros_like(part.weights))
    return replace(part, kinds=("none",) * len(part.kinds))


def test_what_is_saved_is_for_this_guidance_and_these_calibrations(candidates, tmp_path):
    checkpoint, made = candidates
    path, joint, null = made["order 1"].save(tmp_path / "chosen.safetensors", {}, {})
    assert [p.name for p in (joint, null)] == [
        "chosen.calibration.safetensors", "chosen.unconditional.safetensors",
    ]  # fmt: skip
    assert torch.equal(Calibration.load(null).shift, made["order 1"].calibrations.null.shift)
    load_fitted(checkpoint, path, guidance=GUIDANCE, calibrations=(joint, null))
    with refusal("expected guidance 0.5, as it was fitted, got 0"):
        load_fitted(checkpoint, path, guidance=0.0, calibrations=(joint, null))
    with refusal("expected the calibration that it was fitted with"):
        load_fitted(checkpoint, path, guidance=GUIDANCE, calibrations=(joint, None))
    of_one, *calibrations = made["order 1"].save(
        tmp_path / "one.safetensors", {}, {"condition": "3"}
    )
    calibrations = tuple(calibrations)
    load_fitted(checkpoint, of_one, guidance=GUIDANCE, calibrations=calibrations, condition="3")
    with refusal("expected --condition 3, to which alone it was fitted, got all in turn"):
        load_fitted(checkpoint, of_one, guidance=GUIDANCE, calibrations=calibrations)
    load_fitted(checkpoint, path, guidance=GUIDANCE, calibrations=(joint, null), condition="3")
    assert len(made[NOTHING].save(tmp_path / "nothing.safetensors", {}, {})) == 1


def test_what_is_chosen_under_guidance_can_be_used(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(choice, "ROUNDS", (1, 2))
    monkeypatch.setattr("real.calibrated.candidates.SPREAD", 3)
    out, data = tmp_path / "chosen.safetensors", ["--data", str(folder / "images.npz")]
    net, guided = str(folder / "net"), ["--guidance", str(GUIDANCE), "--quiet"]
    chosen = ["choose", net, *data, "--nfe", "3", "--solver", "ddim", "--features", "pixels"]
    assert main([*chosen, "--samples", "16", *guided, "--out", str(out)]) == 0
    files = ["--fitted", str(out)]
    for name, option in (("calibration", "--calibration"), ("unconditional", "--unconditional")):
        if (beside := tmp_path / f"chosen.{name}.safetensors").exists():
            files += [option, str(beside)]
    assert (
        main(["sample", net, *files, *guided, "--samples", "2", "--out", str(tmp_path / "s.png")])
        == 0
    )
    measured = ["quality", net, *data, *files, "--samples", "16", "--out", str(tmp_path / "q")]
    assert main([*measured, *guided]) == 0
    said = json.loads((tmp_path / "q" / "quality.json").read_text())
    assert said["settings"]["guidance"] == GUIDANCE


def test_guidance_that_cannot_be_is_refused_before_anything_is_spent(tmp_path):
    arguments = ["choose", "digits", "--nfe", "3", "--guidance", "1", "--out", str(tmp_path / "c")]
    with pytest.raises(InputError, match="expected a network with a null condition"):
        main([*arguments, "--quiet"])


def test_every_way_to_sample_says_what_it_does(candidates):
    _, made = candidates
    said = {name: meaning_of(name) for name in [*made, *FITTED, HIGH_NOISE, "unipc"]}
    assert len(set(said.values())) == len(said)
    assert said["unipc"] == "the solver unipc, nothing fitted"
    assert [name for name, says in said.items() if "nothing fitted" in says] == ["unipc"]
