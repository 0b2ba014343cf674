"""What a command counts is what it announced, and no more images go at once than are asked for."""

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from real.checkpoints.loading import load
from real.cli import main
from real.commands import arguments as given
from real.reports.page import Report

FEW = ["--images", "16"]
TIMES = ["--times", "2"]
COMMANDS = {
    "calibrate": [*FEW, *TIMES, "--draws", "2"],
    "validate": [*FEW, "--draws", "2", "--samples", "5", "--solver", "heun", "--nfe", "4"],
    "sample": ["--samples", "5", "--solver", "heun", "--nfe", "4"],
    "compare": ["digits", *FEW, *TIMES, "--draws", "2", "--samples", "4", "--nfe", "2"],
    "quality": [*FEW, "--samples", "4", "--nfe", "1,3"],
    "repair": ["--quantize", "int4", *FEW, *TIMES, "--draws", "2"],
    "test": [*FEW, *TIMES],
    "encode": ["--range=0,1", *FEW],
}
FILES = {
    "calibrate": "c.safetensors",
    "sample": "s.png",
    "test": "t.json",
    "encode": "e.safetensors",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_as_much_is_counted_as_was_announced_in_batches_as_asked(
    command, tmp_path, monkeypatch, digits_calibration
):
    bars, sizes = [], []

    def watched(*given):
        network = load(*given)

        def predict(x_t, *more):
            sizes.append(len(x_t))
            return network.predict(x_t, *more)

        return replace(network, predict=predict)

    @contextmanager
    def counting(total, name, quiet):
        bars.append([total, 0])
        own = bars[-1]

        def more(evaluations):
            own[1] += evaluations

        yield more

    monkeypatch.setattr("real.commands.arguments.counting", counting)
    monkeypatch.setattr("real.commands.loading.load", watched)
    monkeypatch.setattr(Report, "write_into", lambda *_: None)
    made = {"validate": "--calibration", "quality": "--calibration"}.get(command)
    arguments = [command, "digits", *COMMANDS[command]]
    arguments += [made, str(digits_calibration)] if made else []
    arguments += [] if command == "encode" else ["--batch-size", "3"]
    assert main([*arguments, "--quiet", "--out", str(tmp_path / FILES.get(command, "out"))]) == 0
    assert bars and all(announced == counted > 0 for announced, counted in bars)
    assert max(sizes, default=3) == 3


@pytest.mark.parametrize(
    ("quiet", "rank", "hidden"),
    [(False, 0, None), (True, 0, True), (False, 1, True), (True, 1, True)],
)
def test_the_first_of_several_processes_shows_how_far_all_of_them_are(
    quiet, rank, hidden, monkeypatch
):
    """Hidden or not; None lets the bar see whether anybody looks at it."""
    bars, counted = [], []

    @contextmanager
    def bar(**how):
        bars.append((how["total"], how["desc"], how["disable"]))
        yield SimpleNamespace(update=counted.append)

    monkeypatch.setattr(given, "tqdm", bar)
    monkeypatch.setattr(given, "process_rank", lambda: rank)
    monkeypatch.setattr(given, "process_count", lambda: 3)
    with given.counting(90, "calibrate", quiet) as on_progress:
        on_progress(10)
    assert (bars, counted) == ([(90, "calibrate", hidden)], [30])
