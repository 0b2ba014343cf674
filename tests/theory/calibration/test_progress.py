"""Runs that are killed and go on: the very same result, and no call of the network made twice."""

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from tests.refusals import refusal
from tests.theory.calibration.test_order_of_images import (
    HELD_OUT,
    IMAGES,
    LABELS,
    SCHEDULE,
    TIMES,
    WAYS,
    network,
)
from theory import calibrate, validate
from theory.calibration import Calibration, calibrate_exactly, kept, sequential
from theory.calibration.kept import Kept, Place
from theory.calibration.progress import Progress
from theory.support.errors import InputError
from theory.support.workers import Workers

BATCH = 16
BUDGET = WAYS["budget"] | {"order": 0}
KILLED = WAYS | {
    "budget": BUDGET,
    "exact": WAYS["exact"] | {"order": 0},
    "four draws": {"draws": 4, "order": 0},
}
"""The last has a contrast, with sums of its own."""


class Killed(BaseException):
    """What ends a run between two calls of the network."""


class Counting:
    """A network that counts its calls, and is killed at one of them."""

    def __init__(self, killed_at: int | None = None) -> None:
        self.calls, self.killed_at = 0, killed_at

    def __call__(self, x_t: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        self.calls += 1
        if self.calls == self.killed_at:
            raise Killed
        return network(x_t, t, label)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Whatever can be written is written, and budgets are spent in several rounds."""
    monkeypatch.setattr(kept, "SECONDS", 0.0)
    monkeypatch.setattr(kept, "SHARE_OF_TIME", float("inf"))
    monkeypatch.setattr(sequential, "PILOT_IMAGES", 8)


def progress(folder, settings="these"):
    folder.mkdir(exist_ok=True)
    return Progress(kept=Kept(folder, settings))


def made(predict, options, folder=None, images=IMAGES, batch_size=BATCH, settings="these", **more):
    labels = LABELS if "classes" in options else None
    run = calibrate_exactly if "data_range" in options else calibrate
    return run(
        predict, SCHEDULE, images=images, times=TIMES, conditions=labels, batch_size=batch_size,
        **({"progress": progress(folder, settings)} if folder else more), **options,
    )  # fmt: skip


def content(calibration: Calibration, path) -> dict[str, object]:
    """All that a calibration's file holds, bit by bit."""
    calibration.save(path)
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name).numpy().tobytes() for name in file.keys()}  # noqa: SIM118
        return tensors | file.metadata()


def apart(one: Calibration, other: Calibration) -> float:
    """The largest difference of what two calibrations subtract, and of their bounds."""
    x_t, y = IMAGES[:2].repeat(3, 1, 1, 1), IMAGES[2:8]
    t = one.times.repeat_interleave(2)
    subtracted = [c.correction(x_t, t, y, LABELS[:6]) for c in (one, other)]
    bounds = abs(one.total_certificate - other.total_certificate)
    return max((subtracted[0] - subtracted[1]).abs().max().item(), bounds)


@pytest.mark.parametrize("way", KILLED)
def test_a_calibration_killed_at_a_call_goes_on_to_the_same_file(tmp_path, way):
    options = KILLED[way]
    whole = Counting()
    expected = content(made(whole, options), tmp_path / "expected")
    again_at_most = 0
    for killed_at in range(1, whole.calls + 1, whole.calls // 3 - 1):
        folder = tmp_path / f"{killed_at}"
        with pytest.raises(Killed):
            made(Counting(killed_at), options, folder)
        again = Counting()
        assert content(made(again, options, folder), tmp_path / "found") == expected
        again_at_most = max(again_at_most, killed_at - 1 + again.calls - whole.calls)
    together = 36 if "classes" in options else 12  # other descriptions, limits: few, and not parted
    assert again_at_most <= together, "calls that were made twice"


def test_a_run_that_is_killed_again_and_again_comes_to_its_end(tmp_path):
    expected = content(made(Counting(), BUDGET), tmp_path / "expected")
    for _ in range(100):
        try:
            found = made(Counting(killed_at=8), BUDGET, tmp_path / "kept")
        except Killed:
            continue
        break
    assert content(found, tmp_path / "found") == expected


def test_another_batch_size_goes_on_to_the_same_result(tmp_path):
    options = WAYS["order 1"]
    whole, again = made(Counting(), options), Counting()
    with pytest.raises(Killed):
        made(Counting(12), options, tmp_path / "kept")
    found = made(again, options, tmp_path / "kept", batch_size=7)
    assert apart(found, whole) < 1e-12
    assert again.calls < 2 * TIMES * 7 - 5


@pytest.mark.parametrize("changed", ["settings", "images", "times", "seed"])
def test_other_settings_begin_anew(tmp_path, changed):
    options, other, again = {"order": 0}, {}, Counting()
    with pytest.raises(Killed):
        made(Counting(7), options, tmp_path / "kept")
    if changed == "seed":
        options = options | {"seed": 1}
    elif changed == "images":
        other = {"images": HELD_OUT}
    elif changed == "settings":
        other = {"settings": "others"}
    else:
        options = options | {"importance": None}
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(made.__globals__, "TIMES", [0.2, 0.5, 0.9])
            found = made(again, options, tmp_path / "kept")
            assert apart(found, made(Counting(), options)) == 0
            return
    assert (
        apart(made(again, options, tmp_path / "kept", **other), made(network, options, **other))
        == 0
    )
    assert again.calls >= TIMES * len(IMAGES) / BATCH


@pytest.mark.parametrize("cut", [0, 10, 1000])
def test_broken_files_begin_anew(tmp_path, cut):
    with pytest.raises(Killed):
        made(Counting(12), BUDGET, tmp_path / "kept")
    files = sorted((tmp_path / "kept").iterdir())
    assert len(files) == 2, "results and sums"
    for file in files:
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) - cut] if cut else b"")
        found = made(Counting(), BUDGET, tmp_path / "kept")
        assert apart(found, made(Counting(), BUDGET)) == 0
        file.write_bytes(whole)


def test_sums_are_those_of_their_settings_and_after_their_results(tmp_path):
    def place(settings="these"):
        sums = {"n": torch.zeros(2)}
        found = Kept(tmp_path, settings).restore_("pass", 0, sums)
        return found and sums["n"].tolist()

    writing = Kept(tmp_path, "these")
    writing.results["choice"] = {"k": torch.ones(1)}
    writing.write("pass", Place(0, [3]), {"n": torch.ones(2)})
    assert place() == [1.0, 1.0]
    assert place("others") is None
    writing._path(kept.RESULTS).unlink()
    assert place() is None


def test_sums_without_the_results_before_them_count_for_nothing(tmp_path):
    with pytest.raises(Killed):
        made(Counting(12), BUDGET, tmp_path / "kept")
    Kept(tmp_path / "kept", "these")._path(kept.RESULTS).unlink()
    found = made(Counting(), BUDGET, tmp_path / "kept")
    assert apart(found, made(Counting(), BUDGET)) == 0


def test_sums_that_cannot_be_read_when_it_comes_to_them_are_refused(tmp_path, monkeypatch):
    whole = Counting()
    made(whole, BUDGET)
    with pytest.raises(Killed):
        made(Counting(whole.calls), BUDGET, tmp_path / "kept")
    restore_ = Kept.restore_

    def vanishing(self, name, turn, sums):
        place = restore_(self, name, turn, sums)
        return place if place and place.turn > turn else None

    monkeypatch.setattr(Kept, "restore_", vanishing)
    with refusal("what was kept cannot be read; the same command begins anew"):
        made(Counting(), BUDGET, tmp_path / "kept")


@pytest.mark.parametrize("others", [(1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 0, 0)])
def test_a_process_without_images_goes_on_while_another_has_some(others):
    """And writes when another has to."""

    class OneOfTwo(Workers):
        def largest(self, *numbers):
            return list(map(max, numbers, others))

    assert Progress(OneOfTwo(1, 2))._step(iter(()), [], Place(0, [])) == others[:2]


def test_a_validation_killed_at_a_call_goes_on_to_the_same_losses(tmp_path):
    calibration = made(Counting(), WAYS["order 1"])
    whole = Counting()
    expected = validate(whole, calibration, images=HELD_OUT, batch_size=BATCH)
    for killed_at in range(1, whole.calls + 1, 2):
        folder, again = tmp_path / f"{killed_at}", Counting()
        with pytest.raises(Killed):
            validate(
                Counting(killed_at), calibration, images=HELD_OUT, batch_size=BATCH,
                progress=progress(folder),
            )  # fmt: skip
        found = validate(
            again, calibration, images=HELD_OUT, batch_size=BATCH, progress=progress(folder)
        )
        assert again.calls == whole.calls - killed_at + 1
        for name in ("losses", "gains", "shift_gains", "clipping_gains"):
            assert torch.equal(getattr(found, name), getattr(expected, name))
        assert found.eta_sq == expected.eta_sq
        assert found.line_check == expected.line_check


def test_a_result_is_computed_once_and_its_passes_are_forgotten(tmp_path):
    def compute(within):
        made_of = calibrate(
            Counting(), SCHEDULE, images=IMAGES, times=TIMES, batch_size=BATCH, progress=within
        )
        return {"shift": made_of.shift, "seconds": 1.25, "names": ("a", "b"), "none": None}

    first = progress(tmp_path / "kept").once("of it", compute)
    assert len(list((tmp_path / "kept").iterdir())) == 1
    second = progress(tmp_path / "kept").once("of it", lambda _: pytest.fail("computed twice"))
    assert torch.equal(first.pop("shift"), second.pop("shift"))
    assert first == second == {"seconds": 1.25, "names": ["a", "b"], "none": None}


def test_what_goes_on_alone_has_the_files_and_the_name_of_the_run(tmp_path):
    shared = Progress(Workers(1, 2), Kept(tmp_path, "these")).within("one").within("part")
    alone = shared.alone()
    assert (alone.kept, alone.name) == (shared.kept, "one/part/")
    assert alone.workers.alone and alone.is_first


def test_nothing_is_written_before_its_time(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "SECONDS", 30.0)
    made(Counting(), BUDGET, tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []


def test_writing_takes_a_small_share_of_the_time(tmp_path, monkeypatch):
    clock = iter([100.0, 101.0])
    run = Kept(tmp_path, "these", written=0.0)
    monkeypatch.setattr(kept, "SHARE_OF_TIME", 0.05)
    monkeypatch.setattr(kept.time, "monotonic", lambda: next(clock))
    run.write("pass", kept.Place(0, [0]), {"0.sum": torch.zeros(3)})
    monkeypatch.setattr(kept.time, "monotonic", lambda: 101.0 + 19.0)
    assert not run.due
    monkeypatch.setattr(kept.time, "monotonic", lambda: 101.0 + 21.0)
    assert run.due


def test_a_full_disk_does_not_end_the_run(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("theory.support.stored.save_file", full)
    found = made(Counting(), BUDGET, tmp_path / "kept")
    assert apart(found, made(Counting(), BUDGET)) == 0


def test_an_error_of_the_network_is_told_as_it_is(tmp_path):
    def refuses(x_t, t):
        raise InputError("network: no")

    with refusal("network: no"):
        made(refuses, {"order": 0}, tmp_path / "kept")
