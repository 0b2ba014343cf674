"""The check of a device, tried on the CPU; it must see what differs, and go on where a part fails."""

from dataclasses import replace

import pytest
import torch

from real.cli import main
from real.experiments.device_check import SMALL, agreement, check, device_check
from real.experiments.device_check.machine import machine
from real.experiments.device_check.speed import ways_to_call

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
