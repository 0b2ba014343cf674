"""The command line: arguments, and what a user did wrong as one line with status 2."""

import argparse
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from theory.support.command_line import MAX_SEED, Parser, count, file_named, folder_named, run, seed
from theory.support.errors import InputError, NonFiniteError
from theory.support.output import require_file


def leave(monkeypatch, main, *arguments):
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    with pytest.raises(SystemExit) as left:
        run("python -m program", main)
    return left.value.code


def failing_with(error):
    def main(arguments):
        raise error

    return main


def test_bad_input_is_one_line_and_status_two(monkeypatch, capsys):
    for error in (InputError("images: none"), NonFiniteError("images:\n  none\n")):
        assert leave(monkeypatch, failing_with(error)) == 2
        assert capsys.readouterr() == ("", "python -m program: images: none\n")


def test_what_a_terminal_would_follow_is_not_shown(monkeypatch, capsys):
    error = InputError("data: \x1b[2Jred\x07\u2028next\u202eback é")
    assert leave(monkeypatch, failing_with(error)) == 2
    assert capsys.readouterr().err == "python -m program: data: ?[2Jred? next?back é\n"


def test_an_interruption_is_status_130(monkeypatch, capsys):
    assert leave(monkeypatch, failing_with(KeyboardInterrupt())) == 130
    assert capsys.readouterr() == ("", "")


BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def printing(count):
    """A program that prints so many lines."""
    return (
        f"from theory.support.command_line import run; run('p', lambda _: print('x\\n' * {count}))"
    )


@pytest.mark.parametrize("count", [1, 10**6])
def test_a_reader_that_went_away_is_status_141(count):
    program = printing(count)
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=BUFFERED,
    )
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == (b"", 141)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_output_that_cannot_be_printed_is_one_line_and_status_two():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", printing(1)], stdout=full, stderr=subprocess.PIPE, text=True,
            env=BUFFERED,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "p: input or output: No space left on device\n"


def test_an_error_of_the_system_names_the_file_and_what_is_wrong(monkeypatch, capsys):
    error = PermissionError(errno.EACCES, os.strerror(errno.EACCES), "some/file")
    assert leave(monkeypatch, failing_with(error)) == 2
    assert capsys.readouterr().err == "python -m program: some/file: Permission denied\n"


def test_the_program_gets_its_arguments_and_the_status_is_its_own(monkeypatch):
    for status in (0, 1):
        assert leave(monkeypatch, lambda arguments, status=status: status) == status
    assert leave(monkeypatch, lambda arguments: "-".join(arguments), "a", "b") == "a-b"


def test_errors_of_the_programs_own_are_not_hidden(monkeypatch):
    with pytest.raises(ZeroDivisionError):
        run("python -m program", failing_with(ZeroDivisionError()))


def test_a_name_that_no_file_can_have_is_bad_input(monkeypatch, capsys):
    for name in ("n" * 300, "folder/" * 2000):
        assert leave(monkeypatch, lambda arguments, name=name: require_file(Path(name))) == 2
        said = capsys.readouterr().err
        assert said.startswith("python -m program: file name too long: ")
        assert said.count("\n") == 1 and len(said) < 150


def parser():
    made = Parser(prog="program")
    made.add_argument("--count", type=count)
    made.add_argument("--seed", type=seed)
    return made


COUNT, SEED = "expected a positive whole number up to 1000000000000", "expected a seed from 0 to"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "0"], f"{COUNT}, got '0'"),
        (["--count", "-1"], f"{COUNT}, got '-1'"),
        (["--count", "1.5"], f"{COUNT}, got '1.5'"),
        (["--count", "1" + "0" * 12 + "1"], COUNT),
        (["--count", "9" * 10_000], f"{COUNT}, got '9{{60}}'"),
        (["--seed", "-1"], SEED),
        (["--seed", str(MAX_SEED + 1)], SEED),
        (["--seed", "9223372036854775808"], SEED),  # of no int64
        (["--sede=" + "x" * 50], "unrecognized arguments: .*; did you mean --seed?"),
        (["--other"], "unrecognized arguments: --other"),
    ],
)
def test_bad_arguments_are_input_errors(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        parser().parse_args(arguments)
    assert str(caught.value).endswith("(see --help)")
    assert "\n" not in str(caught.value)


def test_good_arguments_are_not():
    options = parser().parse_args(["--count", "1", "--seed", str(MAX_SEED)])
    assert options == argparse.Namespace(count=1, seed=MAX_SEED)


def test_a_name_that_says_something_else_is_refused():
    parse = file_named(".json")
    assert [parse(text).name for text in ("a.json", "a.JSON", "a")] == ["a.json", "a.JSON", "a"]
    with pytest.raises(argparse.ArgumentTypeError, match=r"with .json, got 'a.png'"):
        parse("a.png")
    assert folder_named("runs/v1.2").name == "v1.2"
    for name in ("report.html", "x.JPG", "x.json", "x.png", "a.safetensors", "x.txt"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"a folder, got '{name}'"):
            folder_named(name)
