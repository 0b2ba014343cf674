"""Runs that are killed and go on: the same result, and no prediction made twice."""

import math
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
import torch

from real.cli import main
from real.running import resumable
from real.running.resumable import Recorded, _digest
from tests.real.exact import exact_checkpoint
from tests.refusals import refusal
from theory.sampling.fitted import FittedSolver
from theory.support.errors import InputError

NOISE = torch.randn(5, 3, 2, 1, 1, generator=torch.Generator().manual_seed(0))
TIMES = torch.tensor([[900] * 3, [700] * 3, [500] * 3, [300] * 3, [100] * 3])


class Counting:
    """A network that counts its calls, and may be killed at one of them."""

    def __init__(self, killed_at=None):
        self.calls, self.killed_at = 0, killed_at

    def __call__(self, x_t, t, condition=None):
        self.calls += 1
        if self.calls == self.killed_at:
            raise KeyboardInterrupt
        return torch.sin(x_t) + t[:, None, None, None] / 1000


def run(out, network, noise=NOISE):
    checkpoint = exact_checkpoint("table")
    with resumable(type(checkpoint)(**{**vars(checkpoint), "predict": network}), out) as kept:
        return torch.stack([kept.predict(x, t) for x, t in zip(noise, TIMES, strict=True)])


def left(tmp_path):
    return [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("killed_at", [1, 2, 5])
def test_what_was_predicted_is_not_predicted_again(tmp_path, killed_at):
    out, whole = tmp_path / "out", run(tmp_path / "whole", Counting())
    with pytest.raises(KeyboardInterrupt):
        run(out, Counting(killed_at))
    again = Counting()
    assert torch.equal(run(out, again), whole)
    assert again.calls == 5 - (killed_at - 1)
    assert left(tmp_path) == []


def test_other_conditions_are_predicted_anew(tmp_path):
    def run_with(label, network):
        checkpoint = exact_checkpoint("table")
        labels = torch.full((3,), label)
        with resumable(
            type(checkpoint)(**{**vars(checkpoint), "predict": network}), tmp_path / "out"
        ) as kept:
            return [kept.predict(x, t, labels) for x, t in zip(NOISE, TIMES, strict=True)]

    with pytest.raises(KeyboardInterrupt):
        run_with(0, Counting(3))
    again = Counting()
    run_with(1, again)
    assert again.calls == 5


def test_a_record_that_was_not_written_whole_is_made_again(tmp_path):
    whole = run(tmp_path / "whole", Counting())
    for cut in (1, 7, 30, 60, 90):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "out", Counting(4))
        file = tmp_path / ".out.predictions"
        file.write_bytes(file.read_bytes()[:-cut])
        again = Counting()
        assert torch.equal(run(tmp_path / "out", again), whole)
        assert again.calls > 2


def test_other_inputs_are_predicted_anew(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", Counting(5))
    other = NOISE.clone()
    other[2] += 1
    again = Counting()
    assert torch.equal(run(tmp_path / "out", again, other), run(tmp_path / "x", Counting(), other))
    assert again.calls == 3


def test_another_network_predicts_anew(tmp_path):
    checkpoint = exact_checkpoint("table")
    for identity, calls in (("one", 1), ("another", 1)):
        network = Counting(killed_at=2)
        own = {**vars(checkpoint), "predict": network, "fingerprint": identity}
        with (
            pytest.raises(KeyboardInterrupt),
            resumable(type(checkpoint)(**own), tmp_path / "out") as kept,
        ):
            for x, t in zip(NOISE, TIMES, strict=True):
                kept.predict(x, t)
        assert network.calls == calls + 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
@pytest.mark.parametrize("shape", [(), (1,), (0,), (1, 1), (2, 3)])
def test_inputs_of_every_shape_and_layout_have_the_digest_of_their_numbers(shape, dtype):
    values = torch.arange(math.prod(shape)).reshape(shape).to(dtype)
    strided = values.new_zeros(*shape, 2)
    strided[..., 0] = values
    repeated = torch.ones((), dtype=dtype).expand(shape)
    laid_out = torch.ones(shape, dtype=dtype)
    assert _digest("n", strided[..., 0], values, None) == _digest("n", values, values, None)
    assert _digest("n", values, repeated, None) == _digest("n", values, laid_out, None)
    if values.numel():
        assert _digest("n", values, values, None) != _digest("n", values + 1, values, None)


def test_a_single_sample_is_kept_too(tmp_path, digits_checkpoint):
    """Its time is one number that is repeated once, which has no stride."""
    with resumable(digits_checkpoint, tmp_path / "out") as kept:
        t = torch.tensor(500).expand(1)
        assert kept.predict(torch.zeros(1, 1, 8, 8), t).shape == (1, 1, 8, 8)


def test_a_run_that_is_refused_keeps_nothing(tmp_path):
    def refuses(x_t, t, condition=None):
        if t[0] < 600:
            raise InputError("network: NaN")
        return x_t

    with refusal("network: NaN"):
        run(tmp_path / "out", refuses)
    assert left(tmp_path) == []


def test_what_is_kept_is_told(tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", Counting(3))
    assert ".out.predictions keeps what was predicted: the same command goes on" in (
        capsys.readouterr().err
    )


@contextmanager
def disk_of_two_records():
    """No file can grow beyond two predictions and a half; nor can one that pytest writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 48 + 20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_run_goes_on_when_the_disk_is_full(tmp_path):
    with disk_of_two_records():
        assert len(run(tmp_path / "out", Counting())) == 5
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "out", Counting(killed_at=4))
    assert left(tmp_path) == []


def test_no_more_than_the_limit_is_kept(tmp_path):
    with (tmp_path / "file").open("w+b", buffering=0) as file:
        file.seek(2**31 - 10)
        y = Recorded(Counting(), file, "network")(NOISE[0], TIMES[0])
        assert torch.equal(y, Counting()(NOISE[0], TIMES[0]))
        assert file.seek(0, os.SEEK_END) <= 2**31


def test_two_runs_do_not_write_one_output(tmp_path):
    checkpoint = exact_checkpoint("table")
    with (
        resumable(checkpoint, tmp_path / "out"),
        refusal("another run is about to write it"),
        resumable(checkpoint, tmp_path / "out"),
    ):
        pass
    assert left(tmp_path) == []


def test_a_killed_fit_goes_on_to_the_same_result(tmp_path):
    command = ["fit-solver", "digits", "--nfe", "3", "--starts", "64", "--fresh", "16", "--quiet"]
    whole, out = tmp_path / "whole.safetensors", tmp_path / "out.safetensors"
    assert main([*command, "--batch-size", "16", "--out", str(whole)]) == 0
    log = tmp_path / ".out.safetensors.predictions"
    arguments = [sys.executable, "-m", "real", *command, "--batch-size", "16", "--out", str(out)]
    process = subprocess.Popen(arguments)
    end = time.monotonic() + 120
    while time.monotonic() < end and not (log.exists() and log.stat().st_size > 40_000):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert log.exists() and not out.exists()
    assert main([*command, "--batch-size", "16", "--out", str(out)]) == 0
    one, other = FittedSolver.load(whole), FittedSolver.load(out)
    assert one.figures == other.figures
    for a, b in zip(one.maps, other.maps, strict=True):
        assert (a is None) == (b is None)
        assert a is None or torch.equal(a.offset, b.offset)
    assert sorted(left(tmp_path)) == ["out.safetensors", "whole.safetensors"]
