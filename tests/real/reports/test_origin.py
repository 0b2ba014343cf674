"""The lines that a report offers to copy do what they say."""

import torch

from real.checkpoints import load
from real.reports.origin import LONGEST, Origin, assumptions, use_section
from tests.real import tiny_pipelines
from theory.calibration.procedure import calibrate
from theory.calibration.result import ASYMPTOTIC, EXACT


def run_lines(code):
    """The Python among the lines; the names that it defines."""
    names = {}
    exec(code.split("\n", 2)[2], names)
    return names


def made(reference, path):
    checkpoint = load(reference)
    images = torch.randn(4, *checkpoint.shape, generator=torch.Generator().manual_seed(0))
    calibration = calibrate(
        checkpoint.predict, checkpoint.schedule, target=checkpoint.target, images=images,
        times=[100, 900], provenance={"fingerprint": checkpoint.fingerprint},
    )  # fmt: skip
    calibration.save(path)
    return checkpoint


def test_the_lines_for_a_shipped_network_run(tmp_path):
    path = tmp_path / "c.safetensors"
    checkpoint = made("digits", path)
    code = use_section(checkpoint, path).code
    assert code.startswith(f"python -m real sample digits --calibration {path} --out ")
    better = run_lines(code)["better"]
    x, t = torch.zeros(2, *checkpoint.shape), torch.tensor([100, 900])
    assert better(x, t).shape == x.shape


def test_the_lines_have_a_name_for_a_calibration_that_lies_nowhere(tmp_path, digits_checkpoint):
    code = use_section(digits_checkpoint, None).code
    assert code.count("calibration.safetensors") == 2 and "None" not in code


def test_the_lines_for_a_pipeline_run(tmp_path):
    folder, path = tmp_path / "ddpm", tmp_path / "c.safetensors"
    tiny_pipelines.save("ddpm", folder)
    checkpoint = made(str(folder), path)
    pipe = run_lines(use_section(checkpoint, path).code)["pipe"]
    assert len(pipe.unet._forward_hooks) == 1


def test_settings_are_told_and_not_longer_than_a_line():
    section = Origin("a command").section("abc", {"data": "digits", "long": "x" * 9 * LONGEST})
    rows = dict(section.tables[0].rows)
    assert section.code == "a command"
    assert (rows["data"], rows["fingerprint of the network"]) == ("digits", "abc")
    assert len(rows["long"]) == LONGEST


def test_nothing_is_told_as_none_and_a_zero_as_a_zero():
    section = Origin("a command").section(None, {"guidance": 0.0, "the_solver": None, "seed": 0})
    rows = dict(section.tables[0].rows)
    assert (rows["guidance"], rows["the solver"], rows["seed"]) == ("0.0", "none", "0")
    assert section.code == "a command"


def test_what_is_assumed_depends_on_the_certificate():
    exact, asymptotic = (assumptions(kind).text[0] for kind in (EXACT, ASYMPTOTIC))
    assert "every number" in exact and "every number" not in asymptotic
