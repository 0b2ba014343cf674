"""The check of a device, tried on the CPU; it must see what differs, and go on where a part fails."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from real.cli import main
from real.experiments.device_check import SMALL, agreement, check, device_check, speed
from real.experiments.device_check.machine import machine
from real.experiments.device_check.speed import ways_to_call
from real.experiments.device_check.subjects import images_of, subject
from theory.calibration import Calibrated, Calibration

CPU = torch.device("cpu")
QUICK = replace(SMALL, networks=("unet-tiny",), compiled=())


def test_a_device_agrees_with_itself():
    rows = agreement.agreement(CPU, SMALL)
    assert [row["network"] for row in rows] == ["digits", "fashion"]
    assert all(row["within"] for row in rows)


def test_a_device_that_is_off_by_a_thousandth_does_not_agree(monkeypatch):
    right, calls = agreement.subject, []

    def off(name, device):
        checkpoint = right(name, device)
        calls.append(name)
        if len(calls) % 2:
            return checkpoint
        return replace(checkpoint, predict=lambda *a: checkpoint.predict(*a) * 1.001)

    monkeypatch.setattr(agreement, "subject", off)
    rows = agreement.agreement(CPU, SMALL)
    assert not any(row["within"] for row in rows)
    assert all(row["predictions"] == pytest.approx(1e-3, rel=1e-3) for row in rows)


def test_a_part_that_fails_is_told_and_the_others_go_on(monkeypatch):
    def broken(*_):
        raise RuntimeError("no such kernel\nand more")

    monkeypatch.setattr(check, "agreement", broken)
    monkeypatch.setattr(check, "half_precision", lambda *_: [])
    for part in (check.agreement, check.half_precision):
        part.__name__ = "agreement" if part is broken else "half_precision"
    said = []
    found = device_check(CPU, QUICK, 60.0, lambda so_far: said.append(len(so_far)))
    assert found["agreement"]["failed"] == "RuntimeError: no such kernel and more"
    assert found["speed_unet-tiny"]["found"]["weights"] > 0
    assert said == [3, 4, 5, 6]


def test_no_part_is_begun_after_the_time():
    found = device_check(CPU, QUICK, -1.0, lambda _: pytest.fail("nothing was to be done"))
    parts = found.keys() - {"machine", "tolerances"}
    assert {tuple(found[part]) for part in parts} == {("skipped",)}


def test_ways_to_call_say_the_same(monkeypatch):
    monkeypatch.setattr("real.experiments.device_check.speed.compiled", lambda network, _: network)
    rows = ways_to_call("unet-tiny", CPU, SMALL)
    assert [row["way"] for row in rows] == ["as it is"] * 2 + ["compiled"] * 2
    assert all(row["difference"] == 0 for row in rows)


@pytest.mark.parametrize(
    ("parts", "status", "said"),
    [
        ({"agreement": {"found": [{"network": "digits", "within": False}]}}, 1, "CPU: digits"),
        ({"agreement": {"failed": "x"}}, 1, "failed: agreement"),
        ({"agreement": {"found": [{"network": "digits", "within": True}]}}, 0, ""),
    ],
)
def test_the_status_is_that_of_both_ends(monkeypatch, tmp_path, capsys, parts, status, said):
    monkeypatch.setattr("real.experiments.device_check.device_check", lambda *_: parts)
    out = tmp_path / "gpu.json"
    assert main(["gpu-check", "--device", "cpu", "--small", "--out", str(out)]) == status
    assert said in capsys.readouterr().out


def test_a_machine_is_told_by_its_kind_and_not_by_its_name(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "arch-x")
    monkeypatch.setattr("platform.node", lambda: "host-y")
    found = machine(torch.device("cpu"))
    assert found["name"] == "arch-x" and "host-y" not in found.values()


def test_a_shift_is_compared_over_its_error_and_a_certificate_over_itself(digits_calibration):
    """The largest of the times counts; the second shift moves by half of its standard error."""
    made = replace(Calibration.load(digits_calibration), total_certificate=4.0)
    moved = made.error_energy.sqrt() * torch.tensor([0.1, 0.5, 0.25, 0.0])
    shift = made.shift.clone()
    shift[:, 0, 3, 4] += moved
    parts = tuple(
        replace(part, shift=shift) if part is made.constant else part for part in made.parts
    )
    found = agreement._difference(replace(made, parts=parts, total_certificate=3.0), made)
    assert found == pytest.approx({"shift_over_its_error": 0.5, "certificate": 0.25})


def durations(monkeypatch, *taken):
    """What is timed takes these seconds, one after the other, and is done all the same."""
    left = iter(taken)

    def seconds_of(work, device):
        work()
        return next(left)

    monkeypatch.setattr(speed, "seconds_of", seconds_of)


def test_what_a_run_takes_once_and_for_each_evaluation_are_told_apart(monkeypatch):
    """2 s and 0.5 s an evaluation, of which the bare network takes 0.1; two turns of three are odd."""
    durations(monkeypatch, 4.0, 7.0, 1.0, 40.0, 70.0, 10.0, 1.0, 1.0, 0.5)
    done = []
    runs = [partial(done.append, "small"), partial(done.append, "large")]
    found = speed._cost(runs, partial(done.append, "bare"), 6, 10, CPU, 3)
    assert found.pop("peak_bytes") is None
    assert found == pytest.approx(
        {"ratio_of_evaluations": 0.2, "fixed_seconds": 2.0, "bare_evaluations_per_second": 10.0}
    )
    assert done == ["small", "large", "bare"] * 3


def test_what_is_timed_is_what_its_name_says(monkeypatch):
    """Two calibrations and a validation, each of 4 and of 8 images at two times."""
    costs = []

    def cost(runs, bare, more, evaluations, device, turns):
        costs.append(([run() for run in runs], bare(), more, evaluations, turns))
        return {"bare_evaluations_per_second": [2.0, 3.0, 1.0][len(costs) - 1]}

    monkeypatch.setattr(speed, "_cost", cost)
    monkeypatch.setattr(speed, "best_batch_size", lambda seconds, most: most)
    monkeypatch.setattr(speed, "_sampling", lambda *given: {})
    found = speed.speeds("unet-tiny", CPU, SMALL)
    assert [name for name in found["against_the_bare_network"]] == [
        "calibrate, order 0", "calibrate, order 1", "validate",
    ]  # fmt: skip
    for (first, second), bare, more, evaluations, turns in costs:
        assert (bare, more, evaluations, turns) == (16, 8, 16, SMALL.turns)
        sizes = [
            made.n if hasattr(made, "n") else made.provenance["images"] for made in (first, second)
        ]
        assert sizes == [4, 8]
    orders = [
        [getattr(made, "calibration", made).provenance["order"] for made in cost[0]]
        for cost in costs
    ]
    assert orders == [[0, 0], [1, 1], [1, 1]]
    assert (found["evaluations_per_second"], found["images"], found["times"]) == (3.0, [4, 8], 2)
    assert (found["batch_size"], found["dtype"]) == (4, "float32")


def test_ways_to_sample_are_timed_over_bare_sampling_of_the_same_turn(monkeypatch):
    """Medians of three turns, after one that does not count."""
    checkpoint, scale, seen = subject("unet-tiny", CPU), replace(SMALL, turns=3), []
    times = checkpoint.schedule.times(checkpoint.schedule.grid(2))
    made = {
        order: speed._calibration(checkpoint, images_of(checkpoint, 4, 4), times, order, CPU)
        for order in (0, 1)
    }

    def sample(checkpoint, predict, noise, solver, nfe, **options):
        seen.append((predict, getattr(solver, "name", solver), nfe, len(noise)))

    monkeypatch.setattr(speed, "sample", sample)
    first, *turns = (9.0,) * 4, (1.0, 2.0, 3.0, 4.0), (2.0, 2.0, 6.0, 8.0), (1.0, 4.0, 3.0, 5.0)
    durations(monkeypatch, *first, *sum(turns, ()))
    found = speed._sampling(checkpoint, made, 3, CPU, scale)
    assert found == {"order 0": 2.0, "order 1": 3.0, "fitted": 4.0}
    bare, *calibrated, fitted = seen[:4]
    assert bare == (checkpoint.predict, "ddim", scale.nfe, 3)
    assert [(each[0].calibration, each[1]) for each in calibrated] == [
        (made[0], "ddim"), (made[1], "ddim"),
    ]  # fmt: skip
    assert isinstance(calibrated[0][0], Calibrated)
    assert fitted == (checkpoint.predict, "fitted ddim", scale.nfe, 3)


def test_calls_per_second_are_those_of_the_fastest_of_three_times_ten(monkeypatch):
    durations(monkeypatch, 4.0, 2.0, 5.0)
    called = []

    def call():
        called.append(1)
        return torch.full((4,), 1.1)

    row = speed._row("net", "as it is", 2, call, torch.ones(4), CPU)
    assert (row["calls_per_second"], len(called)) == (5.0, 31)
    assert row["difference"] == pytest.approx(0.1)
