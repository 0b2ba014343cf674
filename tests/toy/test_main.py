"""``python -m toy``: what needs no library answers at once, and the public names are where they belong."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

import toy
from theory import __version__
from toy.__main__ import COMMANDS

ROOT = Path(__file__).parents[2]
SECONDS = 0.5
"""Of processor time, for an answer that needs no library."""


def answered(*arguments):
    """The program's status, what it says, and the processor time that it takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "toy", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


ANSWERS = [
    (["--help"], 0, "try every claim"),
    (["verify", "--help"], 0, "--schedule FILE.py:NAME"),
    (["--version"], 0, f"diffusion-martingale {__version__}"),
    ([], 2, "required: COMMAND"),
    (["verfy"], 2, "did you mean verify?"),
    (["verify", "--exmples", "3"], 2, "did you mean --examples?"),
    (["verify", "--schedule", "nofile.py:X"], 2, "no file nofile.py"),
    (["verify", "--model", "nofile.py:X"], 2, "no file nofile.py"),
    (["verify", "--json", "tests"], 2, "got the folder tests"),
    (["plots"], 2, "required: --out"),
]


def test_what_needs_no_library_answers_at_once():
    for arguments, status, says in ANSWERS:
        done, seconds = answered(*arguments)
        assert done.returncode == status, arguments
        assert says in done.stdout + done.stderr, arguments
        assert (done.stderr.count("\n"), done.stdout == "") == ((1, True) if status else (0, False))
        assert seconds < SECONDS, arguments


def test_a_command_is_imported_without_libraries():
    code = "import sys; from toy.commands import plots, verify; import toy; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "theory" in loaded
    assert not loaded & {"torch", "numpy", "scipy", "hypothesis", "matplotlib", "sympy", "tqdm"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_module(name):
    assert COMMANDS[name].module == f"toy.commands.{name}"


def test_public_names_are_found_where_they_live():
    from toy.falsifier import user_models
    from toy.mixtures.diffusion import Diffusion

    assert toy.Model is user_models.Model
    assert toy.Diffusion is Diffusion
    assert toy.__version__ == __version__
    assert set(dir(toy)) == {name for name in toy.__all__ if hasattr(toy, name)}
    with pytest.raises(AttributeError, match="module 'toy' has no attribute 'Modell'"):
        toy.Modell  # noqa: B018


def test_the_old_home_of_models_still_works():
    from toy import brought

    assert (brought.Model, brought.Formula) == (toy.Model, toy.Formula)
