"""The best batch size is the least at which throughput is level, within memory."""

from dataclasses import replace

import pytest
import torch

from real.cli import main
from real.running import batch_size, best_batch_size, timed
from tests.real.exact import exact_checkpoint
from tests.real.running.crowded import Crowded, inputs
from theory.calibration.result import Calibration
from theory.support.errors import InputError


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (lambda n: 1.0, 64),  # free: as large as allowed
        (lambda n: float(n), 1),  # nothing gained by batches
        (lambda n: 1.0 + n / 8, 64),
        (lambda n: max(1.0, n / 16), 16),  # level from 16 on
        (lambda n: max(1.0, n / (16 * 1.04)), 16),  # 4 % more is not worth it
        (lambda n: max(1.0, n / (16 * 1.06)), 32),  # 6 % is
        (lambda n: n if n == 16 else 1.0, 64),  # held up once
        (lambda n: n / 8 if n > 8 else 1.0, 8),
    ],
)
def test_the_best_batch_is_the_least_at_which_throughput_is_level(seconds, expected):
    assert best_batch_size(seconds, 64) == expected


def test_the_search_ends_after_two_sizes_that_do_not_pay():
    tried = []

    def seconds(size):
        tried.append(size)
        return max(1.0, size / 8)

    assert best_batch_size(seconds, 4096) == 8
    assert tried == [1, 2, 4, 8, 16, 32]


def test_the_best_batch_fits_into_memory():
    def seconds(size):
        Crowded(10)(*inputs(size))
        return 1.0

    assert best_batch_size(seconds, 64) == 8

    def never(size):
        raise torch.OutOfMemoryError("no")

    def broken(size):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(InputError, match="expected room for one image"):
        best_batch_size(never)
    with pytest.raises(RuntimeError, match="shapes"):
        best_batch_size(broken)


def test_a_timed_call_is_of_that_many_images(digits_checkpoint):
    sizes = []

    def predict(x_t, t, condition=None):
        sizes.append((len(x_t), len(t)))
        return digits_checkpoint.predict(x_t, t, condition)

    seconds = timed(replace(digits_checkpoint, predict=predict), torch.device("cpu"))
    assert seconds(3) > 0
    assert sizes == [(3, 3)] * 4


def test_a_timed_call_takes_as_long_as_the_shortest_but_for_the_first(monkeypatch):
    """The first warms up: here it seems to take no time at all."""
    taken = iter([0.0, 3.0, 1.0, 2.0])
    monkeypatch.setattr(batch_size, "seconds_of", lambda work, device: next(taken))
    assert timed(exact_checkpoint("table"), torch.device("cpu"))(3) == 1.0


def test_calibrate_finds_its_batch_size_and_the_result_stays(tmp_path, capsys):
    def calibrated(name, *more):
        out = tmp_path / name
        arguments = ["calibrate", "digits", "--images", "32", "--at", "500,999", "--quiet"]
        main([*arguments, "--out", str(out), *more])
        return Calibration.load(out)

    plain = calibrated("plain")
    found = calibrated("auto", "--batch-size", "auto")
    assert "batch size " in capsys.readouterr().out
    assert torch.allclose(plain.shift, found.shift, atol=1e-5)
    half = calibrated("half", "--dtype", "bfloat16")
    assert half.provenance["dtype"] == "bfloat16"
    assert not torch.equal(half.shift, plain.shift)
    assert torch.allclose(half.shift, plain.shift, atol=0.05)
    with pytest.raises(InputError, match="batch-size"):
        calibrated("bad", "--batch-size", "automatic")
