"""What a command computes has every setting that its options ask for, and says what was found."""

import json
from argparse import ArgumentTypeError, Namespace
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from real.calibrated.calibrate import calibrate_checkpoint
from real.calibrated.candidates import NOTHING, Branches, Candidate, Candidates
from real.calibrated.fitted_solvers import unfitted_solver
from real.checkpoints import load
from real.cli import main
from real.commands import quality, throughput
from real.commands.fit_solver import parts
from real.experiments import training
from real.images.latents import latents_source
from real.images.opening import open_images
from real.reports.page import Report
from real.running import Timing
from real.solvers.sampling import Samples, latents, solver_times
from tests.real.calibrated.test_conditions import classes as network_of_classes  # noqa: F401
from tests.refusals import refusal
from theory.calibration import Calibration, Validation
from theory.diffusion.likelihood_bound import solver_weights
from theory.estimators.control_variates import NAMED
from theory.forward.fingerprints import image_ids
from theory.statistics.neyman_allocation import Goal
from theory.statistics.shrinkage import POLICIES


class Seen(Exception):
    """A long computation was begun, and what it was begun with has been seen."""


def asked(monkeypatch, place, arguments):
    """What stands at this place was called with: positions, and names."""
    seen = []

    def watched(*given, **options):
        seen.append((given, options))
        raise Seen

    monkeypatch.setattr(place, watched)
    with pytest.raises(Seen):
        main([*arguments, "--quiet"])
    return seen[0]


CALIBRATIONS = {
    "default": ([], "regression", "certified", 1),
    "published": (["--policy", "published"], "plain", "unshrunk", 0),
    "own": (
        ["--estimator", "residual", "--policy", "shrunk", "--order", "0"],
        "residual",
        "shrunk",
        0,
    ),
    "one": (["--estimator", "plain", "--order", "1"], "plain", "certified", 1),
}


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_a_calibration_is_made_by_the_estimator_policy_and_order_that_are_asked_for(
    name, tmp_path, monkeypatch
):
    options, estimator, policy, order = CALIBRATIONS[name]
    arguments = ["calibrate", "digits", *options, "--times", "4", "--images", "9"]
    arguments += ["--out", str(tmp_path / "c.safetensors")]
    place = "real.calibrated.calibrate.calibrate_checkpoint"
    (_, images, times), made = asked(monkeypatch, place, arguments)
    assert (len(images), len(times)) == (9, 4)
    assert made["estimator"] is NAMED[estimator] and made["policy"] is POLICIES[policy]
    assert (made["order"], made["goal"], made["importance"], made["classes"]) == (
        order,
        None,
        None,
        None,
    )
    assert made["provenance"] == {"condition": "joint", "dtype": "float32", "solver": None}
    assert made["certificate"] == "asymptotic"


def test_a_calibration_has_the_goal_certificate_and_times_that_are_asked_for(
    tmp_path, monkeypatch, digits_checkpoint
):
    def of(*options):
        arguments = ["calibrate", "digits", *options, "--images", "9"]
        out = ["--out", str(tmp_path / "c.safetensors")]
        place = "real.calibrated.calibrate.calibrate_checkpoint"
        return asked(monkeypatch, place, [*arguments, *out])

    assert of("--budget", "90", "--at", "5,900")[1]["goal"] == Goal(90, None)
    assert of("--precision", "0.25", "--times", "2")[1]["goal"] == Goal(None, 0.25)
    (_, _, times), made = of("--certificate", "exact", "--at", "5,900", "--dtype", "bfloat16")
    assert (made["certificate"], times.tolist()) == ("exact", [5, 900])
    assert made["provenance"]["dtype"] == "bfloat16"
    (_, _, times), made = of("--for", "ddim:3")
    expected = solver_times(digits_checkpoint, "ddim", 3)
    assert torch.equal(times, expected)
    weights = solver_weights(digits_checkpoint.schedule, digits_checkpoint.target, expected)
    assert torch.equal(made["importance"], weights)
    assert made["provenance"]["solver"] == "ddim:3"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["--times", "3", "--budget", "11"],
            "budget: expected at least 12 evaluations for 3 times, got 11",
        ),
        (
            ["--at", "5,900", "--budget", "7"],
            "budget: expected at least 8 evaluations for 2 times, got 7",
        ),
        (["--budget", "199"], "budget: expected at least 200 evaluations for 50 times, got 199"),
    ],
)
def test_a_budget_of_fewer_than_four_evaluations_for_each_time_is_refused(options, says, tmp_path):
    with refusal(says):
        main(["calibrate", "digits", *options, "--out", str(tmp_path / "c.safetensors")])


def test_a_fit_has_the_parts_conditions_and_origin_that_are_asked_for(tmp_path, monkeypatch):
    place = "real.calibrated.fitted_solvers.fit_checkpoint_solver"
    arguments = ["fit-solver", "fashion", "--nfe", "3", "--condition", "4", "--solver", "unipc"]
    more = ["--parts", "trajectory", "--starts", "18", "--dtype", "bfloat16", "--seed", "5"]
    out = ["--guidance", "0.5", "--batch-size", "7", "--out", str(tmp_path / "f.safetensors")]
    (_, _, solvers, nfe), made = asked(monkeypatch, place, [*arguments, *more, *out])
    assert (solvers, nfe, made["parts"], made["images"]) == (("unipc",), 3, ("trajectory",), None)
    assert made["conditions"].tolist() == [4] * 18
    assert made["flow"]["batch_size"] == 7
    assert made["provenance"] == {
        "guidance": 0.5, "calibrations": [None, None], "condition": "4", "dtype": "bfloat16", "seed": 5,
    }  # fmt: skip


STUDIES = {
    "study": (
        "real.experiments.estimator_study.run_estimator_study", ["--times", "3"], {"seeds": 4},
    ),
    "repair-study": (
        "real.experiments.repair_study.run_repair_study",
        ["--times", "3", "--nfe", "2,4", "--samples", "9", "--few", "8", "--few-seeds", "5",
         "--solver", "unipc"],
        {"nfe": (2, 4), "samples": 9, "few": 8, "few_seeds": 5, "solver": "unipc",
         "seeds": (0, 1, 2, 3)},
    ),
    "solver-study": (
        "real.experiments.solver_study.solver_study",
        ["--nfe", "2,4", "--samples", "9", "--fit-up-to", "3"],
        {"nfe": (2, 4), "samples": 9, "fitted_up_to": 3, "seeds": (0, 1, 2, 3)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_has_the_settings_that_are_asked_for(name, tmp_path, monkeypatch):
    place, options, expected = STUDIES[name]
    arguments = [name, "digits", "--seeds", "4", *options, "--out", str(tmp_path / "s")]
    (plan, *_), _ = asked(monkeypatch, place, arguments)
    assert {key: getattr(plan, key) for key in expected} == expected
    assert "--times" not in options or len(plan.times) == 3


TRAINED = {"weights": 1234, "seconds": 5.0, "recorded": "r.safetensors"}


def test_a_network_with_classes_is_trained_as_its_options_say(tmp_path, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(
        training, "train_classes", lambda *given, **more: seen.append((given, more)) or TRAINED
    )
    images = np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28)
    np.savez(tmp_path / "d.npz", images=images, labels=np.array([2, 0, 9]))
    arguments = ["train", "fashion", "--data", str(tmp_path / "d.npz"), "--seed", "5", "--compile"]
    more = ["--minutes", "2", "--precision", "bfloat16", "--record-mean", "--quiet"]
    assert main([*arguments, *more, "--out", str(tmp_path / "o")]) == 0
    (((assignment, data, out, recipe, device, quiet, compiled, recorded), options),) = seen
    assert assignment is training.ASSIGNMENTS["fashion"] and out == tmp_path / "o"
    assert data.labels.tolist() == [2, 0, 9] and data.null_label == 10
    assert recipe == replace(assignment.recipe, seed=5, precision="bfloat16")
    assert (device.type, quiet, compiled, recorded) == ("cpu", True, True, True)
    assert options == {"seconds": 120.0}
    said = capsys.readouterr().out
    assert f"{tmp_path / 'o'}: 1,234 weights, 5 s" in said
    assert f"{tmp_path / 'o' / 'r.safetensors'}: the mean of its errors" in said


def test_digits_are_trained_as_their_options_say(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(training, "train_digits", lambda *given: seen.append(given) or TRAINED)
    arguments = ["train", "digits", "--steps", "7", "--seed", "5", "--out", str(tmp_path / "o")]
    assert main(arguments) == 0
    ((out, recipe, device, quiet, recorded),) = seen
    assert recipe == training.TrainingRecipe(seed=5, steps=7)
    assert (out, device.type, quiet, recorded) == (tmp_path / "o", "cpu", False, False)


def test_a_comparison_of_samples_is_of_both_networks_as_they_are_and_as_asked(monkeypatch):
    seen = []

    def prediction(checkpoint, *given):
        seen.append(given)
        return lambda *_: given

    monkeypatch.setattr("real.commands.loading.prediction_for", prediction)
    checkpoint = SimpleNamespace(schedule=None)
    monkeypatch.setattr("real.solvers.by_name.solver_or_default", lambda name, _: name)
    files = {"calibration": Path("joint"), "unconditional": Path("null"), "guidance": 2.0}
    options = Namespace(**files, fitted=None, solver="heun", nfe=(10, 9, 5))
    samplers, nfe = quality._samplers(checkpoint, options)
    assert (list(samplers), nfe) == (["before", "after"], (10, 9, 5))
    assert samplers["before"].predict() == (None, None, 2.0)
    assert samplers["after"].predict() == (Path("joint"), Path("null"), 2.0)
    assert {sampler.solver for sampler in samplers.values()} == {"heun"}


def test_ratios_of_throughput_are_of_the_work_that_they_name(tmp_path, monkeypatch, capsys):
    """Calibration has half the throughput of bare calls, validation all, calibrated samples a quarter."""
    rates = {"bare": 8, "calibrate": 4, "validate": 8, "sample": 2, "sample, calibrated": 0.5}
    found = {name: Timing(10, (10 / rate, 10 / rate)) for name, rate in rates.items()}
    turns = []
    monkeypatch.setattr(throughput, "_works", lambda *given: given)
    monkeypatch.setattr(
        "real.running.take_turns", lambda works, count, device: turns.append(count) or found
    )
    out = tmp_path / "t.json"
    more = ["--turns", "3", "--order", "0", "--batch-size", "7", "--out", str(out)]
    assert main(["throughput", "digits", *more]) == 0
    assert turns == [3]
    assert capsys.readouterr().out.splitlines()[:4] == [
        "8 bare network evaluations per second, batches of 7",
        "calibrate (order 0): 50.0% of the throughput of bare (50.0% to 50.0%, 95 %, 3 turns)",
        "validate (order 0): 100.0% of the throughput of bare (100.0% to 100.0%, 95 %, 3 turns)",
        "sample, calibrated (order 0): 25.0% of the throughput of sample (25.0% to 25.0%, 95 %, 3 turns)",
    ]
    content = json.loads(out.read_text())
    assert (content["order"], content["batch_size"]) == (0, 7)
    ratios = {name: ratio["value"] for name, ratio in content["ratios"].items()}
    assert ratios == pytest.approx({"calibrate": 0.5, "validate": 1.0, "sample, calibrated": 0.25})


def test_what_is_timed_has_the_images_conditions_and_settings_that_are_asked_for(
    network_of_classes,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    """Every other image is calibrated with, all of the class 0; the others are of 1 and 2 in turn."""
    checkpoint, data = load(network_of_classes / "net"), str(tmp_path / "i.npz")
    pixels = np.random.default_rng(0).integers(0, 256, (16, 8, 8), dtype=np.uint8)
    np.savez(data, images=pixels, labels=np.tile([0, 1, 0, 2], 4))
    seen = {}

    def watched(name, result):
        def call(*given, **options):
            seen[name] = given, options
            return result

        return call

    made = SimpleNamespace(provenance={"evaluations": 11})
    for place, result in {
        "real.calibrated.calibrate.calibrate_checkpoint": made,
        "theory.calibration.validate": SimpleNamespace(n=5),
        "theory.calibration.Calibrated": "calibrated",
        "real.solvers.sampling.sample": SimpleNamespace(nfe=2),
        "real.running.bare_calls": 24,
    }.items():
        monkeypatch.setattr(place, watched(place.rpartition(".")[2], result))
    arguments = ["throughput", checkpoint.reference, "--data", data, "--times", "3", "--seed", "5"]
    more = ["--order", "0", "--batch-size", "7", "--solver", "unipc", "--nfe", "2"]
    (works, turns, _), _ = asked(monkeypatch, "real.running.take_turns", [*arguments, *more])
    times = checkpoint.schedule.times(checkpoint.schedule.grid(3))
    assert turns == 5
    assert {name: work() for name, work in works.items()} == {
        "bare": 24, "calibrate": 11, "validate": 15, "sample": 14, "sample, calibrated": 14,
    }  # fmt: skip
    _, count, timed, size, _ = seen["bare_calls"][0]
    (_, images, at), options = seen["calibrate_checkpoint"]
    assert (count, size, len(images), images.batch_size) == (8, 7, 8, 7)
    assert torch.equal(timed, times) and torch.equal(at, times)
    assert (options["seed"], options["order"], options["conditions"].tolist()) == (5, 0, [0] * 8)
    (_, calibration), options = seen["validate"]
    assert calibration is made and options["seed"] == 5
    assert (len(options["images"]), options["conditions"].tolist()) == (8, [1, 2] * 4)
    (_, predict, noise), options = seen["sample"]
    assert predict == "calibrated" and torch.equal(noise, latents(checkpoint, 7, 5))
    assert options.pop("condition").tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert options == {"solver": "unipc", "nfe": 2, "seed": 5, "batch_size": 7}


def test_what_a_bet_has_proven_is_said_of_each_time(monkeypatch, capsys):
    times = [
        SimpleNamespace(t=5.0, known_after=17, e_value=123.4),
        SimpleNamespace(t=900.0, known_after=None, e_value=0.5),
    ]
    found = SimpleNamespace(times=times, miscalibrated=1, images=30, threshold=40.0)
    monkeypatch.setattr("theory.calibration.miscalibration.betting_test", lambda *_, **__: found)
    assert main(["test", "digits", "--images", "50", "--at", "5,900", "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "t = 5: miscalibrated, known after 17 images (e-value 123)",
        "t = 900: nothing is proven (e-value 0.5)",
        "miscalibrated at 1 of 2 times, from 30 of 50 images; enough is an e-value of 40 (Bonferroni), so "
        "that an error of any kind has probability 0.05 at most",
    ]


SAMPLED = {
    "quality": ("real.quality.measure.measure_quality", ["--nfe", "1", "--calibration", "MADE"]),
    "compare": ("real.quality.measure.measure_quality", ["NET", "--nfe", "1", "--times", "2"]),
    "compare, null": (
        "real.quality.measure.measure_quality",
        ["NET", "--nfe", "1", "--times", "2", "--condition", "null"],
    ),
    "solver-study": ("real.experiments.solver_study.solver_study", ["--nfe", "2"]),
    "choose": ("real.quality.choice.choose", ["--nfe", "2"]),
}


@pytest.mark.parametrize("command", SAMPLED)
def test_samples_have_the_conditions_of_what_they_are_held_against(
    command,
    network_of_classes,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    """Every other image is known, all of the class 0; every second of the others is of 1 and 2 in turn."""
    place, options = SAMPLED[command]
    checkpoint = load(network_of_classes / "net")
    pixels = np.random.default_rng(0).integers(0, 256, (64, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "i.npz", images=pixels, labels=np.tile([0, 1, 0, 1, 0, 2, 0, 2], 8))
    images = open_images(str(tmp_path / "i.npz"), "calibration", (1, 8, 8))
    calibrate_checkpoint(
        checkpoint, images.every_other(0), [300, 600], conditions=images.every_other(0).labels
    ).save(tmp_path / "c.safetensors")
    names = {"MADE": str(tmp_path / "c.safetensors"), "NET": checkpoint.reference}
    monkeypatch.setattr(Candidates, "made", nothing_alone)
    arguments = [command.split(",")[0], names["NET"], *(names.get(word, word) for word in options)]
    more = ["--data", str(tmp_path / "i.npz"), "--samples", "16", "--features", "pixels"]
    out = tmp_path / ("o.safetensors" if command == "choose" else "o")
    (first, *rest), _ = asked(monkeypatch, place, [*arguments, *more, "--out", str(out)])
    plan = rest[0].__self__ if command == "choose" else first
    assert plan.condition.tolist() == ([3] * 16 if "null" in command else [1, 2] * 8)
    assert plan.samples == 16


def nothing_alone(plan):
    """The first of the candidates."""
    yield NOTHING, Candidate(Branches(0.0), unfitted_solver(plan.checkpoint, "ddim", plan.nfe))


@pytest.mark.parametrize("solver", [None, "unipc"])
def test_a_choice_is_among_the_solvers_and_calls_that_are_asked_for(solver, tmp_path, monkeypatch):
    seen = []

    def made(plan):
        seen.append(plan)
        raise Seen

    monkeypatch.setattr(Candidates, "made", made)
    named = ["--solver", solver] if solver else []
    arguments = [
        "choose",
        "digits",
        "--nfe",
        "3",
        "--features",
        "pixels",
        "--batch-size",
        "7",
        *named,
    ]
    with pytest.raises(Seen):
        main([*arguments, "--quiet", "--out", str(tmp_path / "c.safetensors")])
    (plan,) = seen
    assert (plan.nfe, plan.guidance, plan.flow["batch_size"]) == (3, 0.0, 7)
    assert plan.solvers == ((solver,) if solver else ("ddim", "dpm-multi-2"))
    assert plan.others == (() if solver else ("dpm-multi-2", "unipc"))


@pytest.mark.parametrize(
    ("option", "value"), [("nfe", "3"), ("seeds", "4"), ("solver", "ddim"), ("features", "pixels")]
)
def test_what_is_only_of_samples_is_refused_where_none_are_drawn(option, value, tmp_path):
    with refusal(f"--{option}: expected --samples beside it, without which none are drawn"):
        main(["compare", "digits", "digits", f"--{option}", value, "--out", str(tmp_path / "c")])


def test_what_a_comparison_was_told_is_in_its_report(tmp_path, monkeypatch):
    arguments = ["compare", "digits", "digits", "--at", "5,900", "--images", "8", "--draws", "2"]
    more = ["--seed", "5", "--dtype", "bfloat16", "--out", str(tmp_path / "c")]
    place = "real.reports.comparison.comparison_report"
    (networks, found, samples), told = asked(monkeypatch, place, [*arguments, *more])
    assert [network.reference for network in networks] == ["digits", "digits"]
    assert (len(found.rises), samples) == (8, None)
    assert told.pop("origin").command.startswith("python -m real compare digits digits --at 5,900")
    assert told == {
        "data": "digits", "seed": 5, "draws": 2, "dtype": "bfloat16", "times": "5, 900",
    }  # fmt: skip


def test_what_samples_of_a_fitted_solver_were_told_is_in_their_report(
    tmp_path, monkeypatch, digits_checkpoint
):
    file = tmp_path / "f.safetensors"
    Candidate(Branches(0.0), unfitted_solver(digits_checkpoint, "unipc", 3)).save(file, {}, {})
    monkeypatch.setattr("real.quality.measure.measure_quality", lambda plan, reference: [])
    arguments = ["quality", "digits", "--fitted", str(file), "--images", "8", "--samples", "4"]
    more = ["--seed", "5", "--features", "pixels", "--out", str(tmp_path / "q")]
    place = "real.reports.quality.quality_report"
    (plan, reference, _), told = asked(monkeypatch, place, [*arguments, *more])
    assert (plan.nfe, plan.seeds, len(reference.rows)) == ((3,), (5, 6, 7), 8)
    assert {name: sampler.name for name, sampler in plan.samplers.items()} == {
        "before": "unipc", "after": "fitted unipc",
    }  # fmt: skip
    assert told["digest"] is None
    assert told["settings"] == {
        "calibration": None, "unconditional": None, "fitted": str(file), "data": "digits",
        "guidance": 0.0, "solver": "unipc", "nfe": "3", "samples": 4, "seed": 5, "seeds": 3,
    }  # fmt: skip


@pytest.mark.parametrize("labelled", [True, False])
def test_a_fit_is_made_under_the_conditions_of_its_images_or_all_in_turn(
    labelled,
    network_of_classes,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    network = str(network_of_classes / "net")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 8), dtype=np.uint8)
    labels = {"labels": np.array([2, 2, 1, 1, 2, 2, 1, 1])} if labelled else {}
    np.savez(tmp_path / "i.npz", images=pixels, **labels)
    arguments = ["fit-solver", network, "--nfe", "3", "--data", str(tmp_path / "i.npz")]
    more = ["--starts", "18", "--fresh", "16", "--out", str(tmp_path / "f.safetensors")]
    place = "real.calibrated.fitted_solvers.fit_checkpoint_solver"
    _, made = asked(monkeypatch, place, [*arguments, *more])
    expected = labels["labels"].tolist() if labelled else [0, 1, 2] * 6
    assert made["conditions"].tolist() == expected


def test_images_are_encoded_of_the_part_that_calibrations_are_made_from(tmp_path):
    out = tmp_path / "e.safetensors"
    assert (
        main(["encode", "digits", "--range=0,1", "--images", "8", "--quiet", "--out", str(out)])
        == 0
    )
    images = open_images("digits", "calibration", (1, 8, 8), limit=8)
    found = latents_source(out, (1, 8, 8))
    assert torch.equal(found.ids, image_ids(torch.cat(list(images))))
    torch.testing.assert_close(torch.cat(list(found)), (torch.cat(list(images)) + 1) / 2)


@pytest.mark.parametrize("wrong", ["ends", "start,ends", "ends,start"])
def test_each_part_of_a_fit_must_be_one(wrong):
    with pytest.raises(
        ArgumentTypeError, match="expected some of start, trajectory, marginals, got 'ends'"
    ):
        parts(wrong)
    assert parts("marginals,start") == ("marginals", "start")


STRICT = {
    "calibrate": (["--images", "9", "--times", "2"], "c.safetensors"),
    "validate": (["--images", "9", "--samples", "1", "--nfe", "1"], "r"),
    "repair": (["--images", "9", "--times", "2", "--quantize", "int8"], "p"),
}


@pytest.mark.parametrize("command", STRICT)
def test_a_warning_is_a_failure_only_where_that_is_asked_for(
    command, tmp_path, monkeypatch, digits_calibration
):
    monkeypatch.setattr(Report, "write_into", lambda *_: None)
    for kind in (Calibration, Validation):
        monkeypatch.setattr(kind, "warning", lambda _: "it is another network")
    options, out = STRICT[command]
    made = ["--calibration", str(digits_calibration)] if command == "validate" else []
    arguments = [command, "digits", *made, *options, "--quiet", "--out", str(tmp_path / out)]
    assert main(arguments) == 0
    assert main([*arguments, "--strict"]) == 1
    for kind in (Calibration, Validation):
        monkeypatch.setattr(kind, "warning", lambda _: None)
    assert main([*arguments, "--strict"]) == 0


@pytest.mark.parametrize(("kind", "expected"), [("joint", [0, 1, 2] * 4), ("null", [3] * 12)])
def test_a_validation_is_under_the_conditions_of_its_calibration(
    kind,
    expected,
    network_of_classes,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    network, data = str(network_of_classes / "net"), str(network_of_classes / "images.npz")
    file = str(tmp_path / "c.safetensors")
    few = ["--data", data, "--quiet"]
    made = ["calibrate", network, *few, "--images", "30", "--at", "300,600", "--condition", kind]
    assert main([*made, "--out", file]) == 0
    arguments = ["validate", network, *few, "--calibration", file, "--images", "12"]
    _, asked_for = asked(
        monkeypatch, "theory.calibration.validate", [*arguments, "--out", str(tmp_path / "r")]
    )
    assert sorted(asked_for["conditions"].tolist()) == sorted(expected)


@pytest.mark.parametrize(("wanted", "expected"), [("4", [4] * 5), (None, [0, 1, 2, 3, 4])])
def test_samples_are_drawn_by_the_solver_and_under_the_condition_that_are_asked_for(
    wanted, expected, tmp_path, monkeypatch
):
    condition = ["--condition", wanted] if wanted else []
    arguments = [
        "sample",
        "fashion",
        "--samples",
        "5",
        "--nfe",
        "3",
        "--solver",
        "unipc",
        *condition,
    ]
    more = ["--seed", "6", "--batch-size", "7", "--out", str(tmp_path / "s.png")]
    place = "real.solvers.sampling.sample"
    (checkpoint, _, noise), drawn = asked(monkeypatch, place, [*arguments, *more])
    assert torch.equal(noise, latents(checkpoint, 5, 6))
    assert drawn["condition"].tolist() == expected
    assert drawn["solver"].name == "unipc"
    assert (drawn["nfe"], drawn["seed"], drawn["batch_size"]) == (3, 6, 7)


def test_samples_are_said_with_their_solver_evaluations_number_and_seconds(
    tmp_path, monkeypatch, capsys
):
    drawn = Samples(torch.zeros(4, 1, 8, 8), "some solver", 3, 12.34)
    monkeypatch.setattr("real.solvers.sampling.sample", lambda *_, **__: drawn)
    out = tmp_path / "s.png"
    assert main(["sample", "digits", "--samples", "4", "--nfe", "3", "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        str(out), "some solver: 3 network evaluations per sample, 4 samples in 12.3 s",
    ]  # fmt: skip
