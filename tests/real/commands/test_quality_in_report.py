"""Distances that ``quality`` has measured are shown in a validation's report, if they are of the same."""

import json

import pytest

from real.cli import main
from real.reports.quality import read_quality
from tests.refusals import refusal

FEW = ["--images", "20", "--quiet"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quality")
    file = str(folder / "c.safetensors")
    assert main(["calibrate", "digits", "--at", "300,999", *FEW, "--out", file]) == 0
    measured = ["quality", "digits", "--calibration", file, "--nfe", "2", "--samples", "20"]
    assert main([*measured, *FEW, "--out", str(folder / "q")]) == 0
    return folder


def test_the_report_shows_them(made, tmp_path):
    arguments = ["--calibration", str(made / "c.safetensors"), "--samples", "2", "--nfe", "1", *FEW]
    out = ["--quality", str(made / "q"), "--out", str(tmp_path)]
    assert main(["validate", "digits", *arguments, *out]) == 0
    found = json.loads((made / "q" / "quality.json").read_text())
    page = (tmp_path / "report.html").read_text()
    assert "Samples beside real images" in page
    assert f"{found['over_seeds'][0]['frechet']['before']['value']:.4g}" in page
    shown = json.loads((tmp_path / "report.json").read_text())["distances"][0]
    assert shown["over_seeds"] == found["over_seeds"]


def test_what_is_of_another_network_or_calibration_is_refused(made, tmp_path):
    found = json.loads((made / "q" / "quality.json").read_text())
    assert read_quality(made / "q", found["fingerprint"], found["digest"])["seeds"] == [0, 1, 2]
    for pair in (("another", found["digest"]), (found["fingerprint"], "another")):
        with refusal("is of another network or calibration"):
            read_quality(made / "q", *pair)
    with refusal("has no quality.json"):
        read_quality(made, found["fingerprint"], found["digest"])
    for content in ("", "[]", "{}", json.dumps({**found, "over_seeds": 3})):
        (tmp_path / "quality.json").write_text(content)
        with refusal("has another quality.json"):
            read_quality(tmp_path, found["fingerprint"], found["digest"])
