"""What a refusal of an option says: what was expected and what came, in full."""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from real.calibrated.fitted_solvers import unfitted_solver
from real.cli import main
from real.commands import arguments as given
from real.commands.calibrate import _solver_and_nfe
from real.commands.choices import SOLVERS, require_one_of
from real.commands.fit_solver import parts
from real.commands.loading import on_device, spread_times
from tests.real.exact import FAMILIES
from tests.refusals import exact_refusal

PARSED = {
    "expected a whole number or auto, got 'x'": (given.batch_size, "x"),
    "expected at least 3 repetitions, got 2": (given.seeds, "2"),
    "expected at least 2 samples, got 1": (given.samples, "1"),
    "expected at least 16 starts, got 15": (given.starts, "15"),
    "expected each number once, got '3,4,3'": (given.count_list, "3,4,3"),
    "expected numbers with commas between, got '9,x'": (given.number_list, "9,x"),
    "expected finite numbers, each once, got '9,9'": (given.number_list, "9,9"),
    "expected finite numbers, each once, got '9,inf'": (given.number_list, "9,inf"),
    "expected LOW,HIGH with LOW below HIGH, got '5,1'": (given.low_and_high, "5,1"),
    "expected LOW,HIGH with LOW below HIGH, got '1,2,3'": (given.low_and_high, "1,2,3"),
    "expected a number above 0 and below 1, got '0'": (given.fraction, "0"),
    "expected a number above 0 and below 1, got '1'": (given.fraction, "1"),
    "expected a finite number, got 'nan'": (given.finite, "nan"),
    "expected some of start, trajectory, marginals, got 'end'": (parts, "start,end"),
    f"expected SOLVER:NFE, with one of {', '.join(SOLVERS)}, got 'ddim'": (_solver_and_nfe, "ddim"),
    f"expected SOLVER:NFE, with one of {', '.join(SOLVERS)}, got 'x:3'": (_solver_and_nfe, "x:3"),
}


@pytest.mark.parametrize("says", PARSED)
def test_what_no_option_takes(says):
    parse, text = PARSED[says]
    with exact_refusal(says, argparse.ArgumentTypeError):
        parse(text)


CALIBRATE = ("calibrate", "digits", "--out", "c.safetensors", "--quiet")
COMMANDS = {
    "order: expected 0, of which --policy published is, got 1":
        (*CALIBRATE, "--policy", "published", "--order", "1"),
    "estimator: published stands for plain, got residual":
        (*CALIBRATE, "--policy", "published", "--estimator", "residual"),
    "per-class: digits takes no class labels": (*CALIBRATE, "--per-class"),
    "quality: expected the folder of a report, there is none at q":
        ("validate", "digits", "--calibration", __file__, "--quality", "q", "--out", "r"),
    "statistics: expected an .npz file with an array 'stats' (times, 4), s.npz does not exist":
        ("audit", "s.npz", "--images", "9", "--dim", "9"),
    "report: expected another place than --out, got o":
        ("fit-solver", "digits", "--nfe", "3", "--out", "o", "--report", "o"),
    "samples: expected 16 at least, got 15":
        ("choose", "digits", "--nfe", "3", "--samples", "15", "--out", "o"),
    "data: expected 64 images at least, got 40":
        ("choose", "digits", "--nfe", "3", "--images", "20", "--out", "o", "--quiet"),
    "images: expected at least 2 in each of two parts, to compare with, got 1 and 1":
        ("solver-study", "digits", "--data", "whole.npz", "--out", "o"),
    "output: expected a name with .safetensors, got o.png": ("encode", "digits", "--out", "o.png"),
    "checkpoint: digits has no autoencoder, images need no encoding":
        ("encode", "digits", "--out", "o.safetensors"),
    "minutes: expected a positive number, got -1":
        ("train", "fashion", "--minutes", "-1", "--out", "o"),
    "unconditional: expected --guidance, without which that branch is not run":
        ("sample", "digits", "--unconditional", __file__, "--out", "o.png"),
    "calibration: expected a file, there is none at u":
        ("sample", "digits", "--guidance", "1", "--unconditional", "u", "--out", "o.png"),
    "calibration: expected a file, there is none at c":
        ("sample", "digits", "--calibration", "c", "--out", "o.png"),
    "fitted solver: expected a file, there is none at f":
        ("sample", "digits", "--fitted", "f", "--out", "o.png"),
    "fitted solver: expected a file, . is a folder":
        ("sample", "digits", "--fitted", ".", "--out", "o.png"),
    "--download: expected one of mnist, fashion-mnist, cifar10, celeba or hub:ID as --data":
        (*CALIBRATE, "--download"),
    "--data-root: expected one of mnist, fashion-mnist, cifar10, celeba as --data":
        (*CALIBRATE, "--data", "hub:some/set", "--data-root", "here"),
    "fitted solver: expected 3 evaluations of unipc, as it was fitted":
        ("quality", "digits", "--fitted", "f.safetensors", "--nfe", "4", "--out", "o"),
    "fitted solver: expected nfe 3, as fitted, got 4":
        ("sample", "digits", "--fitted", "f.safetensors", "--nfe", "4", "--out", "o.png"),
}  # fmt: skip


@pytest.mark.parametrize("says", COMMANDS)
def test_what_no_command_does(says, tmp_path, monkeypatch, digits_checkpoint):
    monkeypatch.chdir(tmp_path)
    if "whole.npz" in COMMANDS[says]:
        np.savez("whole.npz", images=np.zeros((2, 8, 8), np.uint8))
    if "f.safetensors" in COMMANDS[says]:
        unfitted_solver(digits_checkpoint, "unipc", 3).save(Path("f.safetensors"))
    with exact_refusal(says):
        main(list(COMMANDS[says]))


OTHERS = {
    "times: the schedule has 1000 of them, got 1001": partial(spread_times, FAMILIES["table"][0], 1001),
    "device: expected auto, cpu or a usable device, got 'cpu:1'": partial(on_device, "cpu:1"),
    "device: expected auto, cpu or a usable device, got 'none'": partial(on_device, "none"),
    "solver: expected one of a, b, got 'c'": partial(require_one_of, "solver", "c", ("a", "b")),
}  # fmt: skip


@pytest.mark.parametrize("says", OTHERS)
def test_what_no_function_of_the_commands_does(says):
    with exact_refusal(says):
        OTHERS[says]()


def test_a_folder_of_the_users_own_is_no_place_for_a_report(tmp_path):
    for name in (".hidden", "b.txt", "a.png"):
        (tmp_path / name).write_text("")
    with exact_refusal(
        f"output: expected a new folder, or that of a report, {tmp_path} holds a.png and no page"
    ):
        given.require_own_folder(tmp_path)
    (tmp_path / "page.html").write_text("")
    given.require_own_folder(tmp_path)
