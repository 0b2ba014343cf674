"""The program ``python -m theory``: it proves everything, says so, and answers bad input at once."""

import json
import subprocess
import sys

import pytest
import sympy as sp

import theory.__main__ as program
from theory import __version__, proofs
from theory.proofs.algebra import Statement

TRUE = Statement("true", "0", "true", lambda: [sp.Integer(0)])
BROKEN = Statement("broken", "0", "broken", lambda: [sp.Symbol("x")])


def test_it_proves_every_statement_and_writes_every_proof(tmp_path, capsys):
    out = tmp_path / "proofs.json"
    status = program.main(["--quiet", "--json", str(out)])
    written = json.loads(out.read_text())["statements"]
    assert [s["id"] for s in written if not s["proved"] or s["residual"] != "0"] == []
    assert [s["id"] for s in written] == [s.id for s in proofs.STATEMENTS]
    for proof in written:
        assert {"id", "section", "says", "residual", "proved", "seconds"} <= set(proof)
        assert proof["seconds"] >= 0
    identities = sum(s.identity for s in proofs.STATEMENTS)
    count, said = len(proofs.STATEMENTS) - identities, capsys.readouterr().out
    assert f"{count} of {count} statements proved" in said
    assert f"{identities} of {identities} identities of a line" in said
    assert "any d" in said and "d <= 2" in said
    assert status == 0


def test_it_fails_with_a_broken_statement(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(proofs, "STATEMENTS", (TRUE, BROKEN))
    out = tmp_path / "proofs.json"
    assert program.main(["--quiet", "--json", str(out)]) == 1
    assert [s["proved"] for s in json.loads(out.read_text())["statements"]] == [True, False]
    said = capsys.readouterr().out
    assert "1 of 2 statements proved" in said
    assert "residual: x" in said


def leave_with(monkeypatch, statement, *arguments):
    monkeypatch.setattr(proofs, "STATEMENTS", (statement,))
    monkeypatch.setattr(sys, "argv", ["theory", "--quiet", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        program.program()
    return left.value.code


def test_bad_output_is_refused_before_any_proof(monkeypatch, tmp_path, capsys):
    def never():
        raise AssertionError("a proof was started")

    below_a_file = tmp_path / "file" / "proofs.json"
    below_a_file.parent.touch()
    never = Statement("never", "0", "never", never)
    assert leave_with(monkeypatch, never, "--json", below_a_file) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("python -m theory: output: cannot write ")
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [below_a_file.parent]


def test_good_output_leaves_with_status_zero(monkeypatch, tmp_path, capsys):
    out = tmp_path / "new folder" / "proofs.json"
    assert leave_with(monkeypatch, TRUE, "--json", out) == 0
    assert capsys.readouterr().err == ""
    assert out.exists()


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as left:
        program.main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"diffusion-martingale {__version__}\n"


ANSWERS = """
import resource, sys
from theory.__main__ import main
from theory.support.errors import InputError
for arguments in (["--help"], ["--version"], ["--jsno", "x"], ["x"], ["--json", sys.argv[1]]):
    try:
        main(arguments)
    except (InputError, SystemExit):
        continue
    sys.exit(f"{arguments} did not stop the program")
used = resource.getrusage(resource.RUSAGE_SELF)
print([name for name in ("sympy", "torch", "numpy", "tqdm") if name in sys.modules])
print(used.ru_utime + used.ru_stime < 0.5)
"""


def test_help_bad_options_and_bad_output_answer_before_libraries_are_loaded(tmp_path):
    answered = subprocess.run(
        [sys.executable, "-c", ANSWERS, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert answered.returncode == 0, answered.stderr
    assert answered.stdout.splitlines()[-2:] == ["[]", "True"]
