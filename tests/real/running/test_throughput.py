"""The throughput of a calibration is taken over the same network calls."""

import json
from dataclasses import replace

import pytest
import torch

from real.cli import main
from real.running import Throughput, throughput


def test_throughput_is_taken_over_the_same_calls(digits_checkpoint):
    """Bare calls are as many and as large as those of a calibration."""
    from real.images.opening import open_images
    from theory.calibration.procedure import calibrate

    sizes = []

    def predict(x_t, t, condition=None):
        sizes.append((len(x_t), t[0].item()))
        return x_t

    checkpoint = replace(digits_checkpoint, predict=predict)
    images = open_images("digits", "calibration", (1, 8, 8), limit=13, batch_size=5)
    times = checkpoint.schedule.times([10, 500, 999])

    def whole():
        calibrate(predict, checkpoint.schedule, images=images, times=times)

    found = throughput(checkpoint, whole, 13, times, 5, 2, torch.device("cpu"))
    assert found.evaluations == 39
    assert len(found.bare) == len(found.whole) == 2
    bare, calibrated = sizes[:9], sizes[9:18]
    assert bare == calibrated
    assert sizes == (bare + calibrated) * 3


def test_throughput_is_a_ratio_of_neighbours():
    assert Throughput(10, (1.0, 2.0, 9.0), (2.0, 2.0, 10.0)).ratio == pytest.approx(0.9)


def test_throughput_program(tmp_path, capsys):
    out = tmp_path / "t.json"
    main([
        "throughput", "digits", "--images", "20", "--times", "2", "--turns", "1", "--quiet",
        "--device", "cpu", "--out", str(out),
    ])  # fmt: skip
    content = json.loads(out.read_text())
    assert content["evaluations"] == 40
    assert content["ratio"] == pytest.approx(content["bare"][0] / content["whole"][0])
    assert "batches of 256" in capsys.readouterr().out
