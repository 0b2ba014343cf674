"""The progress bar of a command ends at its end: as much is counted as was announced."""

from contextlib import contextmanager

import pytest

from real.cli import main

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
def test_as_much_is_counted_as_was_announced(command, tmp_path, monkeypatch, digits_calibration):
    bars = []

    @contextmanager
    def counting(total, name, quiet):
        bars.append([total, 0])
        own = bars[-1]

        def more(evaluations):
            own[1] += evaluations

        yield more

    monkeypatch.setattr("real.commands.arguments.counting", counting)
    made = {"validate": "--calibration", "quality": "--calibration"}.get(command)
    arguments = [command, "digits", *COMMANDS[command]]
    arguments += [made, str(digits_calibration)] if made else []
    assert main([*arguments, "--quiet", "--out", str(tmp_path / FILES.get(command, "out"))]) == 0
    assert bars and all(announced == counted > 0 for announced, counted in bars)
