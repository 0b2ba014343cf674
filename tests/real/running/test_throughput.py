"""Throughput is compared over the same network calls, in turns, with an interval."""

import json
import math
from dataclasses import replace

import pytest
import torch

from real.cli import main
from real.running import Timing, bare_calls, take_turns

CPU = torch.device("cpu")


def test_bare_calls_are_those_of_a_calibration(digits_checkpoint):
    """As many and as large."""
    from real.images.opening import open_images
    from theory.calibration.procedure import calibrate

    sizes = []

    def predict(x_t, t, condition=None):
        sizes.append((len(x_t), t[0].item()))
        return x_t

    checkpoint = replace(digits_checkpoint, predict=predict)
    images = open_images("digits", "calibration", (1, 8, 8), limit=13, batch_size=5)
    times = checkpoint.schedule.times([10, 500, 999])
    assert bare_calls(checkpoint, 13, times, 5, CPU) == 39
    calibrate(predict, checkpoint.schedule, images=images, times=times)
    assert sizes[:9] == sizes[9:]


def test_works_take_turns_and_none_is_always_first():
    done = []

    def work(name):
        return lambda: done.append(name) or 7

    found = take_turns({name: work(name) for name in "abc"}, 3, CPU)
    assert "".join(done) == "abc" + "bca" + "cab" + "abc"
    assert all(timing.evaluations == 7 and len(timing.seconds) == 3 for timing in found.values())


def test_throughput_is_a_ratio_of_neighbours_with_an_interval():
    bare, whole = Timing(10, (1.0, 2.0, 9.0)), Timing(20, (4.0, 4.0, 18.0))
    ratio = whole.relative_to(bare)
    assert ratio.value == pytest.approx(0.5 ** (1 / 3))
    half = 4.302653 * math.log(2) / 3  # Student's quantile of 2 degrees; the error of a mean of 3
    assert ratio.lower == pytest.approx(0.5 ** (1 / 3) * math.exp(-half), rel=1e-5)
    assert ratio.upper == pytest.approx(0.5 ** (1 / 3) * math.exp(half), rel=1e-5)
    once = Timing(20, (4.0,)).relative_to(Timing(10, (1.0,)))
    assert (once.value, once.lower, once.upper) == (pytest.approx(0.5), 0.0, math.inf)


def test_throughput_program(tmp_path, capsys):
    out = tmp_path / "t.json"
    main([
        "throughput", "digits", "--images", "20", "--times", "2", "--turns", "2", "--quiet", "--nfe", "2",
        "--batch-size", "8", "--device", "cpu", "--out", str(out),
    ])  # fmt: skip
    content, printed = json.loads(out.read_text()), capsys.readouterr().out
    timings = content["timings"]
    evaluations = {name: timing["evaluations"] for name, timing in timings.items()}
    assert evaluations == {
        "bare": 40, "calibrate": 40, "validate": 40, "sample": 16, "sample, calibrated": 16,
    }  # fmt: skip
    bare, whole = (torch.tensor(timings[name]["seconds"]) for name in ("bare", "calibrate"))
    ratio = content["ratios"]["calibrate"]
    assert ratio["value"] == pytest.approx((bare / whole).log().mean().exp().item(), rel=1e-5)
    assert ratio["lower"] < ratio["value"] < ratio["upper"]
    assert "batches of 8" in printed
    assert "sample, calibrated (order 1)" in printed
