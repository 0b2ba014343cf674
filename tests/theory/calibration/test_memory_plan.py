"""Times are measured in blocks where memory is small, and what is large lies in files: the same result."""

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from tests.refusals import refusal
from theory.calibration import calibrate, kept
from theory.calibration.kept import Kept
from theory.calibration.memory_plan import plan_memory
from theory.calibration.procedure import parts_of
from theory.calibration.progress import Progress
from theory.diffusion.schedules import VPCosine
from theory.estimators.control_variates import PLAIN, REGRESSION
from theory.forward.keyed_noise import keyed_noise
from theory.support.large_arrays import LargeArray
from theory.support.memory import available_memory

SCHEDULE, SHAPE, TIMES = VPCosine(), (3, 8, 8), 7
IMAGES = keyed_noise(0, "images", 0, 0, torch.arange(64), SHAPE).float()
TRIED = ((REGRESSION, 1), (PLAIN, 1))


def network(x_t, t, condition=None):
    """Its mistakes are of many kinds."""
    lowest = x_t.mean((2, 3), keepdim=True)
    return 0.8 * x_t + 0.1 + 0.3 * lowest + 0.1 * x_t.flip(3)


def made(**options):
    return calibrate(
        network, SCHEDULE, images=IMAGES, times=torch.linspace(0.1, 0.9, TIMES), **options
    )


def numbers(calibration):
    """All tensors of a calibration and of its parts."""
    found = {name: v for name, v in vars(calibration).items() if isinstance(v, torch.Tensor)}
    for part in calibration.parts:
        tensors = part.stored().tensors
        found |= {f"{part.title} {name}": tensor for name, tensor in tensors.items()}
    return found


@pytest.mark.parametrize("options", [{"order": 1, "draws": 4}, {"order": 0}], ids=str)
def test_blocks_of_times_and_files_give_the_same_calibration(options, monkeypatch):
    whole, seen, written = made(**options), [], []
    plan = plan_memory(SHAPE, TIMES, parts_of(options["order"]), TRIED)
    monkeypatch.setattr("theory.calibration.memory_plan.MOST_SUMS", 3.5 * plan.of_time)
    monkeypatch.setattr("theory.calibration.memory_plan.MOST_KEPT", 0)
    monkeypatch.setattr("theory.estimators.slope_fit.AT_ONCE", 16 * TIMES * 6 * 50)
    initial = LargeArray.__init__

    def remembered(self, values, *, in_file):
        written.append(in_file)
        initial(self, values, in_file=in_file)

    monkeypatch.setattr(LargeArray, "__init__", remembered)
    blocks = made(**options, on_progress=seen.append)
    assert any(written) == bool(options["order"])
    assert sum(seen) == 64 * TIMES * options.get("draws", 1)
    assert blocks.provenance["evaluations"] == whole.provenance["evaluations"]
    expected, got = numbers(whole), numbers(blocks)
    assert expected.keys() == got.keys()
    for name, values in expected.items():
        torch.testing.assert_close(got[name], values, rtol=1e-9, atol=1e-12, msg=name)
    assert blocks.total_certificate == pytest.approx(whole.total_certificate, rel=1e-9)
    assert blocks.choices == whole.choices
    assert blocks.line_check == whole.line_check


def test_processes_of_one_machine_share_its_memory(monkeypatch):
    alone = available_memory()
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "8"), ("LOCAL_WORLD_SIZE", "4")):
        monkeypatch.setenv(name, value)
    assert available_memory() == pytest.approx(alone / 4, rel=0.2)


def test_a_run_that_was_killed_goes_on_with_its_blocks(tmp_path, monkeypatch):
    """Also where there is other memory by then: few calls of the network are made twice."""
    monkeypatch.setattr(kept, "SECONDS", 0.0)
    monkeypatch.setattr(kept, "SHARE_OF_TIME", float("inf"))
    calls: list[int] = []
    killed_at, folders = -1, [tmp_path / name for name in ("whole", "killed")]
    for folder in folders:
        folder.mkdir()

    def counted(x_t, t, condition=None):
        calls.append(len(x_t))
        if len(calls) == killed_at:
            raise KeyboardInterrupt
        return network(x_t, t)

    def run(times_at_once, folder):
        of_time = plan_memory(SHAPE, TIMES, parts_of(0), TRIED).of_time
        monkeypatch.setattr("theory.calibration.memory_plan.MOST_SUMS", times_at_once * of_time)
        return calibrate(
            counted, SCHEDULE, images=IMAGES, times=torch.linspace(0.1, 0.9, TIMES), order=0,
            batch_size=32, progress=Progress(kept=Kept(folder, "these")),
        )  # fmt: skip

    whole = run(2, folders[0])
    made_in_all = len(calls)
    calls.clear()
    killed_at = made_in_all - 2
    with pytest.raises(KeyboardInterrupt):
        run(2, folders[1])
    done = run(5, folders[1])
    assert len(calls) <= made_in_all + 3
    assert torch.equal(done.shift, whole.shift)


def test_the_plan_tells_what_the_sums_take_and_keeps_to_what_there_is(monkeypatch):
    parts = parts_of(1)
    plan = plan_memory(SHAPE, 50, parts, TRIED)
    assert plan.blocks == [range(50)]
    d = 3 * 8 * 8
    assert plan.of_time >= 8 * 16 * d * (9 + 1 + 3 + 6 + 6 + 16)
    assert plan.kept == 8 * d * (18 * 16 + 16)
    assert str(plan).startswith("memory: sums of ")
    monkeypatch.setattr(
        "theory.calibration.memory_plan.available_memory", lambda device=None: 10 * plan.of_time
    )
    small = plan_memory(SHAPE, 50, parts, TRIED)
    assert (small.together, len(small.blocks), small.blocks[-1]) == (3, 17, range(48, 50))
    assert "the images are read 17 times" in str(small)
    monkeypatch.setattr("theory.calibration.memory_plan.available_memory", lambda device=None: 1e5)
    with refusal("memory: the sums of one time take .* there are 0 MB"):
        made()


def test_there_must_be_room_for_the_files_of_all_times(monkeypatch):
    plan = replace(plan_memory(SHAPE, 50, parts_of(1), TRIED), in_files=True)
    for short, wrong in ((0, False), (1, True), (40 * plan.kept, True)):
        room = SimpleNamespace(free=50 * plan.kept - short)
        monkeypatch.setattr("shutil.disk_usage", lambda folder, room=room: room)
        with refusal("memory: expected .* for temporary files") if wrong else nullcontext():
            plan.require_room()
        replace(plan, in_files=False).require_room()


def test_sums_at_256_pixels_and_50_times_are_bounded():
    plan = plan_memory((3, 256, 256), 50, parts_of(1), TRIED)
    assert plan.of_time > 1e9
    assert plan.of_time * plan.together <= 4e9
    assert plan.in_files


@pytest.mark.parametrize("in_file", [False, True])
def test_parts_of_a_large_array_are_its_numbers(in_file):
    values = keyed_noise(0, "values", 0, 0, torch.arange(3), (4, 11))
    array = LargeArray(values, in_file=in_file)
    assert torch.equal(array.part(), values)
    for part in (slice(0, 4), slice(4, 11), slice(10, 11)):
        assert torch.equal(array.part(part), values[..., part])
