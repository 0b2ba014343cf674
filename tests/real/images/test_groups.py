"""What belongs together, from a file of the user's: it reaches calibration, validation and halves."""

import json

import numpy as np
import pytest

from real.cli import main
from real.images.groups import read_groups
from real.images.opening import open_images
from tests.refusals import refusal
from theory import Calibration


@pytest.fixture
def stored(tmp_path):
    """Forty images of eight videos; a file of lines, and one of columns."""
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=images)
    videos = [f"video {k // 5}" for k in range(40)]
    (tmp_path / "videos.txt").write_text("\n".join(videos) + "\n")
    (tmp_path / "table.csv").write_text(
        "frame,video\n" + "".join(f"{k},{video}\n" for k, video in enumerate(videos))
    )
    return tmp_path


def test_both_forms_are_read_and_what_is_none_is_refused(stored):
    lines = read_groups(str(stored / "videos.txt"))
    assert lines == read_groups(f"{stored / 'table.csv'}:video")
    assert len(lines) == 40 and len({*lines}) == 8
    (stored / "gap.txt").write_text("a\n\nb\n")
    for reference, said in (
        (f"{stored / 'table.csv'}:film", "one of the columns frame, video, got 'film'"),
        (str(stored / "gap.txt"), "got none for 2"),
        (str(stored / "images.npz"), "cannot be read as text"),
    ):
        with refusal(said, reference):
            read_groups(reference)


def test_groups_follow_their_images(stored):
    groups = read_groups(str(stored / "videos.txt"))
    source = open_images(str(stored / "images.npz"), "calibration", (1, 8, 8), groups=groups)
    assert source.at([7, 39]).groups == ["video 1", "video 7"]
    halves = [source.every_other(start) for start in (0, 1)]
    assert {*halves[0].groups}.isdisjoint(halves[1].groups)
    assert sum(map(len, halves)) == 40
    with refusal("groups: expected one for each of 40 images"):
        source.grouped(groups[:5])


def test_the_commands_count_units(stored, capsys):
    out, groups = stored / "made", ["--groups", f"{stored / 'table.csv'}:video"]
    data = ["--data", str(stored / "images.npz"), "--quiet"]
    assert main(["calibrate", "digits", *data, *groups, "--at", "500", "--out", str(out)]) == 0
    assert "8 independent units in 40 images" in capsys.readouterr().out
    assert Calibration.load(out).provenance["independent"] == 8
    other = np.random.default_rng(1).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.savez(stored / "images.npz", images=other)
    report = ["--calibration", str(out), "--samples", "2", "--nfe", "1", "--out", str(stored / "r")]
    assert main(["validate", "digits", *data, *groups, *report]) == 0
    assert "8 independent units" in capsys.readouterr().out
    assert json.loads((stored / "r" / "report.json").read_text())["units_held_out"] == 8
    with refusal("groups: expected a file, there is none at"):
        main(["calibrate", "digits", "--groups", "no.txt", "--out", str(out)])
