"""The commands that bet: exact certificates, and the test of a network."""

import json

import pytest

from real.cli import main
from tests.refusals import refusal
from theory import Calibration

OWN = """
from real import load

digits = load("digits")

class biased:
    schedule, target, shape = digits.schedule, digits.target, digits.shape

    @staticmethod
    def predict(x_t, t):
        return digits.predict(x_t, t) + 0.2
"""


@pytest.fixture
def biased(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    return f"{tmp_path / 'own.py'}:biased"


def test_an_exact_certificate_is_of_other_images_and_is_kept(biased, tmp_path, capsys):
    out = tmp_path / "made"
    made = ["calibrate", biased, "--at", "500,700", "--out", str(out), "--quiet"]
    assert main([*made, "--certificate", "exact"]) == 0
    said = capsys.readouterr().out
    assert "Certified: it gains at least" in said and "(95%, exact)" in said
    assert (
        "exact: made from 200 images, judged by betting on 200 others, x_0 clipped to [-1, 1]"
        in said
    )
    calibration = Calibration.load(out)
    assert len(calibration.image_ids) == 400
    assert (calibration.certified_gain(calibration.times) > 0).all()
    assert main(made) == 0
    said = capsys.readouterr().out
    assert "(95%, asymptotic)" in said and "exact:" not in said
    assert Calibration.load(out).exact is None


def test_a_biased_network_is_told_from_the_shipped_one(biased, tmp_path, capsys):
    out = tmp_path / "verdicts.json"
    options = ["--at", "200,600", "--quiet", "--out", str(out)]
    assert main(["test", biased, *options]) == 0
    said = capsys.readouterr().out
    assert "t = 600: miscalibrated, known after" in said
    assert "miscalibrated at 2 of 2 times" in said
    found = json.loads(out.read_text())
    assert found["images"] < 400, "it stops when it knows"
    assert found["threshold"] == pytest.approx(40)
    assert all(verdict["e_value"] >= 40 for verdict in found["times"])
    assert main(["test", "digits", *options]) == 0
    assert "t = 200: nothing is proven" in capsys.readouterr().out


def test_what_cannot_be_tested_is_refused(biased, tmp_path):
    for arguments, said in (
        (["test", biased, "--out", str(tmp_path)], "expected a file|is a folder"),
        (["test", biased, "--at", "5000"], "times outside the schedule"),
        (["calibrate", "digits", "--certificate", "certain", "--out", "c"], "invalid choice"),
    ):
        with refusal(said, arguments):
            main(arguments)


def test_rounding_is_no_gain_at_times_that_are_left_alone(tmp_path):
    out = tmp_path / "made"
    made = [
        "calibrate",
        "digits",
        "--at",
        "440,600,999",
        "--order",
        "1",
        "--out",
        str(out),
        "--quiet",
    ]
    assert main([*made, "--certificate", "exact"]) == 0
    report = ["--samples", "2", "--nfe", "1", "--out", str(tmp_path / "r"), "--quiet"]
    assert main(["validate", "digits", "--calibration", str(out), *report]) == 0
    rows = json.loads((tmp_path / "r" / "report.json").read_text())["times"]
    assert [row["heldout_gain"] > 0 for row in rows] == [row["weight"] > 0 for row in rows]
    assert [row["weight"] > 0 for row in rows] == [False, False, True]
