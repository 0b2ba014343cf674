"""``python -m toy example``: what it prints holds when it is tried, and is short."""

import subprocess
import sys
from pathlib import Path

import pytest

from theory.support.errors import InputError
from toy.__main__ import main
from toy.commands.example import EXAMPLES

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_example_holds_as_its_first_line_says(kind, tmp_path, capsys, monkeypatch):
    assert main(["example", kind]) == 0
    text = capsys.readouterr().out
    (tmp_path / "mine.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    command = text.splitlines()[0].strip('"').removeprefix("python -m toy ").split()
    assert main([*command, "--examples", "1", "--quiet"]) == 0
    assert len([line for line in text.splitlines() if line]) <= 13


def test_a_changed_example_falls(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(EXAMPLES["score"].replace("-(x_t", "(x_t"))
    assert (
        main(["verify", "--model", f"{tmp_path}/mine.py:score", "--examples", "1", "--quiet"]) == 1
    )
    assert "likely mistake: the sign" in capsys.readouterr().out


def test_other_kinds_are_refused():
    with pytest.raises(InputError, match="did you mean score"):
        main(["example", "scores"])


def test_an_example_needs_no_library():
    code = (
        "import sys; from toy.__main__ import main; main(['example', 'model']); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "torch" not in done.stdout.splitlines()[-1].split()


def test_the_help_of_verify_names_the_examples(capsys):
    with pytest.raises(SystemExit):
        main(["verify", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert all(f"python -m toy example {kind}" in told for kind in ("schedule", "model"))
