"""Running a network well: memory, batch size, precision, compilation."""

import itertools
import json
from dataclasses import replace

import pytest
import torch

from real.cli import main
from real.running import (
    Throughput,
    best_batch_size,
    compiled,
    in_dtype,
    is_out_of_memory,
    run_well,
    throughput,
    timed,
)
from real.running.memory import WithinMemory
from real.running.trial import trial
from theory.support.errors import InputError

CPU = torch.device("cpu")


class Crowded:
    """y = 2 x_t + t + label; out of memory above so many images. Remembers the sizes of its calls."""

    def __init__(self, most, error=None):
        self.most, self.calls = most, []
        self.error = error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    def __call__(self, x_t, t, condition=None):
        self.calls.append(len(x_t))
        if len(x_t) > self.most:
            raise self.error
        label = torch.zeros(len(x_t)) if condition is None else torch.as_tensor(condition)
        return 2 * x_t + (t + label)[:, None]


def inputs(n):
    return torch.arange(2.0 * n).reshape(n, 2), torch.arange(n).float(), 10 * torch.arange(n)


def test_results_are_those_of_one_large_call_in_order():
    for n, most in itertools.product((1, 7, 8, 13), (1, 3, 8, 100)):
        x_t, t, labels = inputs(n)
        expected = Crowded(n)(x_t, t, labels)
        assert torch.equal(WithinMemory(Crowded(most))(x_t, t, labels), expected), (n, most)
        texts = [int(label) for label in labels]
        assert torch.equal(WithinMemory(Crowded(most))(x_t, t, texts), expected), (n, most)
        assert torch.equal(WithinMemory(Crowded(most))(x_t, t), Crowded(n)(x_t, t)), (n, most)


def test_a_batch_is_halved_until_it_fits_and_never_tried_large_again():
    network = Crowded(3)
    within = WithinMemory(network)
    within(*inputs(8))
    assert network.calls == [8, 4, 2, 2, 2, 2]
    network.calls.clear()
    within(*inputs(5))
    assert network.calls == [2, 2, 1]


def test_what_was_computed_before_memory_ran_out_is_kept():
    """Memory shrinks while it runs: only what failed is repeated."""
    network = Crowded(4)
    within = WithinMemory(network)
    within.most = 4
    plain = network.__call__

    def shrinking(x_t, t, condition=None):
        network.most = 4 if len(network.calls) < 2 else 2
        return plain(x_t, t, condition)

    within.predict = shrinking
    x_t, t, _ = inputs(12)
    assert torch.equal(within(x_t, t), Crowded(12)(x_t, t))
    assert network.calls == [4, 4, 4, 2, 2]


def test_nothing_is_split_while_memory_suffices():
    network = Crowded(100)
    within = WithinMemory(network)
    within(*inputs(64))
    assert network.calls == [64]


def test_a_single_time_serves_all_images():
    x_t, _, _ = inputs(5)
    expected = Crowded(5)(x_t, torch.full((5,), 3.0))
    assert torch.equal(WithinMemory(Crowded(2))(x_t, torch.tensor(3.0)), expected)


def test_no_room_for_one_image_is_said_in_one_line():
    with pytest.raises(InputError, match="expected room for one image"):
        WithinMemory(Crowded(0))(*inputs(4))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("whatever"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (MemoryError(), True),
        (RuntimeError("shapes do not fit"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_other_errors_are_not_taken_for_memory(error, expected):
    assert is_out_of_memory(error) == expected
    network = Crowded(2, error)
    if expected:
        assert len(WithinMemory(network)(*inputs(4))) == 4
    else:
        with pytest.raises(type(error)):
            WithinMemory(network)(*inputs(4))
        assert network.calls == [4]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (lambda n: 1.0, 64),  # free: as large as allowed
        (lambda n: float(n), 1),  # nothing gained by batches
        (lambda n: 1.0 + n / 8, 64),
        (lambda n: max(1.0, n / 16), 16),  # level from 16 on
        (lambda n: max(1.0, n / (16 * 1.04)), 16),  # 4 % more is not worth it
        (lambda n: max(1.0, n / (16 * 1.06)), 32),  # 6 % is
    ],
)
def test_the_best_batch_is_the_least_at_which_throughput_is_level(seconds, expected):
    assert best_batch_size(seconds, 64) == expected


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

    seconds = timed(replace(digits_checkpoint, predict=predict), CPU)
    assert seconds(3) > 0
    assert sizes == [(3, 3)] * 4


@pytest.mark.parametrize(
    ("conditions", "expected"), [(None, None), (10, torch.zeros(2)), ("text", ["", ""])]
)
def test_a_trial_gives_a_valid_condition(digits_checkpoint, conditions, expected):
    seen = []

    def predict(x_t, t, condition=None):
        seen.append(condition)
        return x_t

    trial(replace(digits_checkpoint, predict=predict, conditions=conditions), 2, CPU)
    if isinstance(expected, torch.Tensor):
        assert torch.equal(seen[0], expected.long())
    else:
        assert seen == [expected]


@pytest.mark.parametrize(
    ("dtype", "rounding"), [(torch.bfloat16, 2.0**-8), (torch.float16, 2.0**-11)]
)
def test_half_precision_rounds_as_it_should(digits_checkpoint, dtype, rounding):
    x_t = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    t = torch.full((16,), 500)
    exact = digits_checkpoint.predict(x_t, t)
    half = in_dtype(digits_checkpoint, dtype, CPU).predict(x_t, t)
    assert half.dtype == x_t.dtype
    error = ((half - exact).square().mean() / exact.square().mean()).sqrt()
    assert 0.1 * rounding < error < 4 * rounding


def test_the_prediction_has_the_dtype_of_its_input(digits_checkpoint):
    """Also where the network leaves it in half precision."""
    bare = replace(
        digits_checkpoint, predict=lambda x_t, t, c: torch.nn.functional.linear(x_t, torch.eye(8))
    )
    x_t, t = torch.zeros(1, 1, 8, 8), torch.zeros(1)
    with torch.autocast("cpu", torch.bfloat16):
        assert bare.predict(x_t, t, None).dtype == torch.bfloat16
    assert in_dtype(bare, torch.bfloat16, CPU).predict(x_t, t).dtype == torch.float32


def test_float32_is_the_network_itself(digits_checkpoint):
    assert in_dtype(digits_checkpoint, torch.float32, CPU) is digits_checkpoint


def test_half_precision_is_no_other_network(digits_checkpoint):
    half = run_well(digits_checkpoint, CPU, dtype="bfloat16")
    assert half.fingerprint == digits_checkpoint.fingerprint
    assert half.modules["unet"].dtype == torch.float32


class Module(torch.nn.Module):
    """A stand-in that remembers being compiled."""

    compilations = 0

    def compile(self):
        self.compilations += 1


def test_what_predicts_is_compiled_and_the_codec_is_not(digits_checkpoint):
    unet, vae = Module(), Module()
    checkpoint = replace(
        digits_checkpoint, predict=lambda x_t, t, c: x_t, modules={"unet": unet, "vae": vae}
    )
    compiled(checkpoint, CPU)
    assert (unet.compilations, vae.compilations) == (1, 0)


def test_what_does_not_compile_is_refused_in_one_line(digits_checkpoint):
    def predict(x_t, t, c):
        raise RuntimeError("InvalidCxxCompiler: no g++\nSet TORCH_LOGS for more")

    with pytest.raises(InputError, match=r"does not work here: InvalidCxxCompiler: no g\+\+$"):
        compiled(replace(digits_checkpoint, predict=predict, modules={"unet": Module()}), CPU)
    with pytest.raises(InputError, match="digits names none"):
        compiled(replace(digits_checkpoint, modules={}), CPU)


def test_calibrate_finds_its_batch_size_and_the_result_stays(tmp_path, capsys):
    def calibrated(name, *more):
        out = tmp_path / name
        arguments = ["calibrate", "digits", "--images", "32", "--at", "500,999", "--quiet"]
        main([*arguments, "--out", str(out), *more])
        from theory.calibration.result import Calibration

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

    found = throughput(checkpoint, whole, 13, times, 5, 2, CPU)
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
