"""``fit-solver``, and what takes its file."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from real.calibrated.fitted_solvers import doubts_of, fitted_summary, unfitted_solver
from real.cli import main
from real.images.base import ImageSource
from real.images.digits import digits_source
from tests.real.exact import exact_checkpoint
from tests.refusals import refusal
from theory.calibration import Calibration
from theory.diffusion.data_range import DataRange
from theory.sampling.fitted import FittedSolver

FEW = ["--starts", "16", "--fresh", "16", "--quiet"]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    path = tmp_path_factory.mktemp("fitted") / "f.safetensors"
    command = ["fit-solver", "digits", "--solver", "ddim", "--nfe", "3", "--out", str(path), *FEW]
    assert main(command) == 0
    return path


def test_the_file_says_what_was_fitted_and_gained(fitted):
    solver = FittedSolver.load(fitted)
    assert len(solver.base) == 3
    assert (solver.provenance["checkpoint"], solver.provenance["solver"]) == ("digits", "ddim")
    assert solver.clip is not None  # as the network's own configuration says
    distance = solver.figures["distance"]
    assert distance["after"]["value"] < distance["before"]["value"]
    assert solver.figures["evaluations"] > solver.figures["evaluations_fitting"] > 0


def test_without_a_solver_the_one_is_taken_that_can_be_fitted_better(tmp_path, capsys):
    path = tmp_path / "f.safetensors"
    assert main(["fit-solver", "digits", "--nfe", "3", "--out", str(path), *FEW]) == 0
    solver = FittedSolver.load(path)
    tried = solver.figures["bases"]
    assert set(tried) == {"ddim", "dpm-multi-2"}
    assert solver.provenance["solver"] == min(tried, key=tried.get)
    assert "left by a fit to the steps and times of each solver" in capsys.readouterr().out


def test_samples_are_drawn_with_it(fitted, tmp_path, capsys):
    out = tmp_path / "s.png"
    arguments = ["sample", "digits", "--fitted", str(fitted), "--samples", "4", "--quiet"]
    assert main([*arguments, "--out", str(out)]) == 0
    assert "fitted ddim: 3 network evaluations per sample" in capsys.readouterr().out
    assert out.is_file()


def test_quality_compares_it_with_its_solver(fitted, tmp_path, capsys):
    arguments = ["quality", "digits", "--fitted", str(fitted), "--samples", "100", "--quiet"]
    assert main([*arguments, "--out", str(tmp_path / "q")]) == 0
    report = json.loads((tmp_path / "q" / "quality.json").read_text())
    assert (report["solver"], report["solver_after"]) == ("ddim", "fitted ddim")
    (row,) = report["over_seeds"]
    assert row["nfe"] == 3
    assert row["frechet"]["change"]["upper"] < 0
    assert "ddim before, fitted ddim after" in capsys.readouterr().out
    page = (tmp_path / "q" / "quality.html").read_text()
    assert page.count("of 100 samples to 397 images") == 1
    assert page.count("before: the network as it is; after: with the fitted solver") == 1
    settings = {
        name: report["settings"][name] for name in ("solver", "nfe", "samples", "seed", "seeds")
    }
    assert settings == {"solver": "ddim", "nfe": "3", "samples": 100, "seed": 0, "seeds": 3}
    assert report["settings"]["unconditional"] is None


@pytest.mark.parametrize(
    ("command", "more", "match"),
    [
        ("sample", ["--nfe", "4"], "expected nfe 3, as fitted, got 4"),
        ("sample", ["--solver", "heun"], "expected solver ddim, as fitted, got heun"),
        ("sample", ["--guidance", "1.5"], "null condition|guidance 0, as it was fitted, got 1.5"),
        ("quality", ["--nfe", "5,10"], "expected 3 evaluations of ddim"),
    ],
)
def test_what_was_not_fitted_is_refused(fitted, tmp_path, command, more, match):
    out = str(tmp_path / "o")
    with refusal(match):
        main([command, "digits", "--fitted", str(fitted), "--out", out, "--quiet", *more])
    assert not (tmp_path / "o").exists()


def test_another_network_or_calibration_is_refused(fitted, tmp_path):
    arguments = ["--fitted", str(fitted), "--out", str(tmp_path / "o.png"), "--quiet"]
    with refusal("made for digits, whose weights are not those of fashion"):
        main(["sample", "fashion", *arguments])
    made = tmp_path / "c.safetensors"
    assert (
        main(
            ["calibrate", "digits", "--times", "4", "--images", "40", "--out", str(made), "--quiet"]
        )
        == 0
    )
    assert Calibration.load(made).provenance["order"] == 1
    with refusal("expected the calibration that it was fitted with"):
        main(["sample", "digits", "--calibration", str(made), *arguments])


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (["--solver", "ddpm"], "without noise of its own"),
        (["--solver", "magic"], "solver: expected one of"),
        (["--starts", "3"], "starts: expected"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_bad_settings_are_one_line_and_no_file(tmp_path, more, match):
    out = tmp_path / "f.safetensors"
    with refusal(match):
        main(["fit-solver", "digits", "--nfe", "3", "--out", str(out), "--quiet", *more])
    assert not out.exists()


@pytest.mark.parametrize("clip", [DataRange(-1.5, 2.0), None], ids=str)
@pytest.mark.parametrize("name", ["ddim", "unipc"])
def test_clipping_that_the_solver_does_not_do_by_itself_is_told(name, clip):
    figures = {"evaluations_fitting": 1, "evaluations": 2}
    solver = unfitted_solver(exact_checkpoint("table"), name, 2)
    said = "\n".join(fitted_summary(replace(solver, clip=clip, figures=figures)))
    told = "clipped to [-1.5, 2], fitted or not; unipc by itself does not clip" in said
    assert told == ("clipped" in said) == (name == "unipc" and clip is not None)


LAWS = [
    ((0.25, 1.25, 0.0), []),
    ((0.26, 1.0, 0.0), ["off that of the images by 26% of their variance"]),
    ((0.0, 1.3, 0.01), ["have 1.30 times the images' variance"]),
    ((0.0, 1.3, 0.02), []),
    ((0.0, 0.7, 0.01), ["have 0.70 times the images' variance"]),
    ((0.5, 0.5, 0.0), ["images by 50% of their variance", "have 0.50 times the images' variance"]),
]
"""Means, variances and their errors, over the images' variance, and what is said of them."""


@pytest.mark.parametrize(("law", "said"), LAWS)
def test_images_are_doubted_whose_mean_or_variance_is_certainly_a_quarter_off(law, said):
    checkpoint, images = exact_checkpoint("vp"), ImageSource.of("some", torch.zeros(2, 2, 1, 1))
    figures = {"law": dict(zip(("mean", "variance", "variance_error"), law, strict=True))}
    fitted = replace(unfitted_solver(checkpoint, "ddim", 2), figures=figures)
    doubts = doubts_of(checkpoint, fitted, images)
    assert len(doubts) == len(said) and all(map(str.endswith, doubts, said))
    assert all(line.startswith(("the mean of the", "the network's own fine")) for line in doubts)
    assert doubts_of(checkpoint, fitted, None) == []


def test_a_fit_is_told_with_its_cost_falls_and_the_errors_of_each_solver():
    figures = {
        "evaluations_fitting": 1000, "evaluations": 3500, "bases": {"ddim": 0.5, "unipc": 0.25},
        "distance": {
            "before": {"value": 8.0}, "after": {"value": 2.0},
            "fall": {"value": 6.0, "lower": 5.0, "upper": 7.0},
        },
        "fine_solution_error": 0.003,
        "moments": {"before": 4.0, "after": -0.5, "fall": 4.5, "fall_lower": 3.5},
    }  # fmt: skip
    fitted = replace(unfitted_solver(exact_checkpoint("vp"), "unipc", 3), figures=figures)
    assert fitted_summary(fitted) == [
        "unipc, 3 evaluations: nothing fitted with 1,000 network evaluations, 2,500 more on fresh starts",
        "left by a fit to the steps and times of each solver, per pixel: ddim 0.5, unipc 0.25",
        "squared distance to the network's own fine solution, led to the images' moments, per pixel: "
        "8 -> 2, a fall of 6 (5 to 7, 95 %); the fine solution's own error is 0.003 of the first",
        "squared error of the moments on the way, in standard deviations of the images there, summed over "
        "coordinates and steps: 4 -> none that is seen (estimate -0.5), a fall of 4.5 (at least 3.5, 95 %)",
    ]


@pytest.mark.parametrize("parts", ["start,trajectory,marginals", "marginals"])
def test_one_evaluation_that_leaves_nothing_to_gain_is_reported_all_the_same(tmp_path, parts):
    """The one step of DDIM ends where the fine solution does, and leaves no moments on the way."""
    out, page = tmp_path / "f.safetensors", tmp_path / "f.html"
    arguments = ["fit-solver", "digits", "--nfe", "1", "--solver", "ddim", "--parts", parts]
    assert main([*arguments, *FEW, "--out", str(out), "--report", str(page)]) == 0
    figures = FittedSolver.load(out).figures
    assert figures["moments"]["before"] == 0
    assert "distance" not in figures or figures["distance"]["before"]["value"] == 0
    assert "inf" not in page.read_text().split("To make it again")[0].replace("infer", "")
    assert "squared error, fitted / not fitted" not in page.read_text()


def test_the_trajectory_alone_needs_no_images(tmp_path):
    out = tmp_path / "f.safetensors"
    arguments = ["fit-solver", "digits", "--nfe", "2", "--parts", "trajectory", "--out", str(out)]
    assert main([*arguments, *FEW]) == 0
    solver = FittedSolver.load(out)
    assert solver.parts == ("trajectory",)
    assert "data" not in solver.provenance


@pytest.mark.parametrize("parts", ["start,trajectory,marginals", "marginals"])
def test_images_of_one_class_are_warned_of(tmp_path, capsys, parts):
    source = digits_source("calibration", (1, 8, 8))
    ones = source.load((source.labels == 1).nonzero()[:, 0].tolist())
    path = tmp_path / "ones.npz"
    np.savez(path, images=((ones + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    out = tmp_path / "f.safetensors"
    arguments = ["fit-solver", "digits", "--nfe", "4", "--data", str(path), "--out", str(out)]
    assert main([*arguments, "--parts", parts, *FEW]) == 0
    assert "Do not use it yet: " in (said := capsys.readouterr().out)
    assert "the law of the images must be that of the samples" in said


def test_images_of_the_networks_law_are_not_warned_of(tmp_path, capsys):
    out = tmp_path / "f.safetensors"
    arguments = ["fit-solver", "digits", "--nfe", "4", "--out", str(out), "--starts", "64"]
    assert main([*arguments, "--fresh", "16", "--quiet"]) == 0
    assert "warning" not in capsys.readouterr().out


def test_a_study_compares_solvers(tmp_path, capsys):
    out = tmp_path / "study"
    arguments = ["solver-study", "digits", "--nfe", "3,4", "--fit-up-to", "3", "--samples", "20"]
    assert main([*arguments, "--seeds", "3", "--out", str(out), "--quiet"]) == 0
    report = json.loads((out / "solver-study.json").read_text())
    named = {(row["solver"], row["nfe"]) for row in report["over_seeds"]}
    assert {("fitted", 3), ("epsilon scaling", 3), ("heun", 3), ("ddim", 3)} <= named
    assert {name for name, nfe in named if nfe == 4} == {"ddim", "dpm-multi-2"}  # the network's own
    assert (out / "solver-study.png").is_file()
    assert "3 evaluations: ddim" in capsys.readouterr().out


def test_gpu_check_runs_on_the_cpu(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("real.experiments.device_check.check.ways_to_call", lambda *_: [])
    out = tmp_path / "g.json"
    assert main(["gpu-check", "--device", "cpu", "--small", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["machine"]["device"] == "cpu"
    assert all(row["within"] for row in found["agreement"]["found"])
    assert "agreement" in capsys.readouterr().out
