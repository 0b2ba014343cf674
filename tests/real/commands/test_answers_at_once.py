"""What is mistyped is said before any library is loaded."""

import os
import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
SECONDS = 0.5
"""Of processor time."""

CALIBRATED = ["--calibration", "nofile", "--out", "o"]
NOWHERE = ["--data", "nofile.npz", "--out", "o"]
ANSWERS = (
    (["--help"], 0, "usage: python -m real"),
    (["--version"], 0, "diffusion-martingale "),
    ([], 2, "the following arguments are required: COMMAND"),
    (["calibrat"], 2, "did you mean calibrate?"),
    (["validate", "--help"], 0, "usage: python -m real validate"),
    (["calibrate", "--oder", "1", "--out", "o"], 2, "did you mean --order?"),
    (["calibrate", "--policy", "certifed", "--out", "o"], 2, "did you mean certified?"),
    (
        ["calibrate", "--certificate", "exact", "--budget", "900", "--out", "o"],
        2,
        "expected no --budget",
    ),
    (["calibrate", "--for", "magic:20", "--out", "o"], 2, "SOLVER:NFE, with one of ddim"),
    (["calibrate", "--for", "ddim", "--out", "o"], 2, "expected SOLVER:NFE"),
    (["compare", "digits", "digits", "--out", "pictures"], 2, "pictures holds a.png and no page"),
    (["calibrate", "--family", "edm3", "--out", "o"], 2, "family: expected one of repaired"),
    (
        ["calibrate", "--budget", "7", "--at", "5,9", "--out", "o"],
        2,
        "at least 8 evaluations for 2",
    ),
    (["calibrate", "--budget", "199", "--out", "o"], 2, "at least 200 evaluations for 50 times"),
    (["calibrate", "--time", "9", "--out", "o"], 2, "did you mean --times?"),
    (["calibrate", "--at", "1,1", "--out", "o"], 2, "finite numbers, each once, got '1,1'"),
    (["calibrate", "--at", "nan", "--out", "o"], 2, "finite numbers, each once, got 'nan'"),
    (
        ["calibrate", "--budget", "900", "--draws", "2", "--out", "o"],
        2,
        "--draws: expected neither",
    ),
    (["calibrate", "--precision", "1", "--out", "o"], 2, "above 0 and below 1, got '1'"),
    (["calibrate", "--per-class", "--condition", "null", "--out", "o"], 2, "null has no classes"),
    (
        ["calibrate", "--policy", "published", "--order", "1", "--out", "o"],
        2,
        "published is, got 1",
    ),
    (["calibrate", "--download", "--out", "o"], 2, "--download: expected one of mnist"),
    (
        ["calibrate", "--data", "hub:x", "--data-root", "r", "--out", "o"],
        2,
        "--data-root: expected",
    ),
    (["calibrate", "--batch-size", "lots", "--out", "o"], 2, "a whole number or auto, got 'lots'"),
    (["calibrate", "--groups", ".", "--out", "o"], 2, "groups: expected a file, . is a folder"),
    (["sample", "--guidance", "nan", "--out", "o"], 2, "expected a finite number, got 'nan'"),
    (["sample", "--guidance", "x", "--out", "o"], 2, "expected a finite number, got 'x'"),
    (
        ["sample", "--calibration", ".", "--out", "o"],
        2,
        "calibration: expected a file, . is a folder",
    ),
    (
        ["sample", "--solver", "ddpm-analytic", "--out", "o"],
        2,
        "ddpm-analytic is for validate alone",
    ),
    (["quality", *CALIBRATED, "--nfe", "3,3"], 2, "expected each number once, got '3,3'"),
    (["compare", "digits", "digits", "--nfe", "7", "--out", "o"], 2, "--nfe: expected --samples"),
    (["compare", "digits", "digits", "--seeds=5", "--out", "o"], 2, "--seeds: expected --samples"),
    (
        ["fit-solver", "--nfe", "3", "--parts", "trajectory", "--images", "9", "--out", "f"],
        2,
        "--images: expected another part than trajectory",
    ),
    (["calibrate", "--data", "nofile.npz", "--out", "o"], 2, "which does not exist"),
    (["validate", *CALIBRATED], 2, "calibration: expected a file, there is none at nofile"),
    (
        ["sample", "--guidance", "1", "--unconditional", "nofile", "--out", "o"],
        2,
        "calibration: expected a file, there is none at nofile",
    ),
    (["quality", *CALIBRATED], 2, "calibration: expected a file, there is none at nofile"),
    (["sample", "./nofile.pt", "--out", "o"], 2, "checkpoint: expected 'digits'"),
    (["throughput", "nofile"], 2, "checkpoint: expected 'digits'"),
    (["encode", "mine.py:network", "--out", "o.safetensors"], 2, "checkpoint: no file mine.py"),
    (["sample", *CALIBRATED], 2, "calibration: expected a file, there is none at nofile"),
    (["sample", "--out", "x.txt"], 2, "expected a file name with .png, got 'x.txt'"),
    (["quality", "--seeds", "2", "--out", "o"], 2, "expected at least 3 repetitions, got 2"),
    (["study", "--seeds", "2", *NOWHERE], 2, "expected at least 3 repetitions, got 2"),
    (["solver-study", "--seeds", "2", *NOWHERE], 2, "expected at least 3 repetitions, got 2"),
    (["repair-study", "--seeds", "2", *NOWHERE], 2, "expected at least 3 repetitions, got 2"),
    (
        ["repair-study", "--few-seeds", "2", *NOWHERE],
        2,
        "expected at least 3 repetitions, got 2",
    ),
    (["quality", "--samples", "1", *CALIBRATED], 2, "expected at least 2 samples, got 1"),
    (
        ["compare", "digits", "digits", "--samples", "1", *NOWHERE],
        2,
        "at least 2 samples, got 1",
    ),
    (["solver-study", "--samples", "1", *NOWHERE], 2, "expected at least 2 samples, got 1"),
    (["repair-study", "--samples", "1", *NOWHERE], 2, "expected at least 2 samples, got 1"),
    (["fit-solver", "--nfe", "5", "--out", "o", "--report", "o"], 2, "another place than --out"),
    (["sample", "--solver", "magic", "--out", "o"], 2, "solver: expected one of ddim"),
    (["repair", "--quantize", "int5", "--out", "o"], 2, "quantize: expected one of int8"),
    (["repair-study", "--features", "best", "--out", "o"], 2, "features: expected one of pixels"),
    (["study", "--data", "nofile.npz", "--out", "o"], 2, "which does not exist"),
    (["encode", "--out", "o.npz"], 2, "expected a name with .safetensors"),
    (["throughput", "--data", "nofile.npz"], 2, "which does not exist"),
    (["train", "fashion", "--data", "nofile.npz", "--out", "o"], 2, "which does not exist"),
    (["compare", "digits", "nofile", "--out", "o"], 2, "checkpoint: expected 'digits'"),
    (["compare", "digits", "--out", "o"], 2, "the following arguments are required: B"),
    (["audit", "nofile", "--images", "9", "--dim", "9"], 2, "nofile does not exist"),
)


def answered(folder, arguments):
    """Exit status, what is said, and the seconds of processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "real", *arguments], cwd=folder, capture_output=True, text=True,
        check=False, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.returncode, done.stdout + done.stderr, used


def test_what_needs_no_library_is_answered_at_once(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").touch()
    for arguments, status, said in ANSWERS:
        code, text, used = answered(tmp_path, arguments)
        assert (code, said in text) == (status, True), (arguments, text)
        assert status == 0 or text.count("\n") == 1, (arguments, text)
        assert used < SECONDS, arguments
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_the_list_needs_no_network(tmp_path):
    code, text, used = answered(tmp_path, ["list"])
    assert (code, "fashion" in text) == (0, True)
    assert used < 1.5
