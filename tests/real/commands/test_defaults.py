"""What options are where nobody asks for anything else."""

from importlib import import_module

import pytest

from real.cli import COMMANDS, main

NETWORK = {"checkpoint": "digits", "device": "auto"}
IMAGES = {"data": "digits"}
BATCHES = {"batch_size": 256}
RUNNING = {"dtype": "float32"}
MEASURED = {**NETWORK, **IMAGES, **BATCHES, **RUNNING}
JOINT = {"condition": "joint"}

DEFAULTS = {
    "list": ([], {}),
    "calibrate": (
        ["--out", "c"],
        {**MEASURED, **JOINT, "draws": 1, "policy": "certified", "certificate": "asymptotic"},
    ),
    "validate": (["--calibration", "c", "--out", "r"], {**MEASURED, "draws": 1, "samples": 64}),
    "compare": (
        ["digits", "b", "--out", "o"],
        {**MEASURED, **JOINT, "draws": 1, "times": 20, "seeds": 3, "nfe": 20},
    ),
    "test": ([], {**MEASURED, **JOINT, "times": 20}),
    "sample": (["--out", "o"], {**NETWORK, **BATCHES, **RUNNING, "samples": 64}),
    "fit-solver": (
        ["--nfe", "3", "--out", "f"],
        {**MEASURED, "parts": ("start", "trajectory", "marginals"), "starts": 128, "fresh": 64},
    ),
    "choose": (["--nfe", "3", "--out", "f"], {**MEASURED, "samples": 100}),
    "solver-study": (
        ["--out", "o"],
        {**NETWORK, **IMAGES, **RUNNING, "nfe": (4, 5, 6, 8, 10, 15, 20, 50), "fit_up_to": 20,
         "seeds": 3},
    ),
    "quality": (["--out", "o"], {**MEASURED, "seeds": 3}),
    "study": (["--out", "o"], {**NETWORK, **IMAGES, **JOINT, "times": 12, "seeds": 5}),
    "repair": (
        ["--out", "o"],
        {**NETWORK, **IMAGES, **BATCHES, **JOINT, "draws": 1, "order": 1, "times": 50,
         "policy": "certified", "against": "truth"},
    ),
    "repair-study": (
        ["--out", "o"],
        {**NETWORK, **IMAGES, **JOINT, "times": 25, "seeds": 3, "nfe": (5, 10, 20, 50),
         "few_seeds": 10},
    ),
    "encode": (["--out", "o"], {**NETWORK, **IMAGES}),
    "throughput": ([], {**MEASURED, "times": 10, "order": 1, "turns": 5, "nfe": 20}),
    "gpu-check": (["--out", "o"], {"device": "auto", "seconds": 240}),
    "audit": (["s", "--images", "9", "--dim", "9"], {}),
    "train": (["digits", "--out", "o"], {"device": "cpu"}),
}  # fmt: skip
"""What each command needs, and what the options are that it then has; seeds are 0, other options off."""


GIVEN = {
    "command", "as_typed", "typed", "out", "calibration", "checkpoint", "other", "nfe", "statistics",
    "images", "dim", "network",
}  # fmt: skip
"""What those command lines themselves say."""


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_the_usual_ones_where_nobody_asks_for_others(name, monkeypatch):
    arguments, expected = DEFAULTS[name]
    seen = []
    monkeypatch.setattr(import_module(COMMANDS[name].module), "run", seen.append)
    main([name, *arguments])
    found = {key: value for key, value in vars(seen[0]).items() if value not in (None, False, 0)}
    assert {key: found.get(key) for key in expected} == expected
    assert found.keys() - expected.keys() <= GIVEN
