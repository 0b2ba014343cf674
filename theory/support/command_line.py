"""What the three programs share: subcommands that load late, and errors as one line, status 2."""

import argparse
import difflib
import errno
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from theory.support.errors import ENDED_EARLY, FailedElsewhereError, InputError, in_one_line
from theory.support.torchrun import process_count, process_rank

BAD_INPUT = 2
INTERRUPTED = 130
TERMINATED = 143
NO_READER = 141
LONGEST_SHOWN = 60
COMPLETION, SHELLS = "--print-completion", ("bash", "zsh")
MAX_COUNT = 10**12
MAX_SEED = 2**63 - 1

INVALID_CHOICE = re.compile(r"invalid choice: '(?P<given>.*?)' \(choose from (?P<choices>.*)\)")


def file_named(suffix: str) -> Callable[[str], Path]:
    """What parses the name of a file to write, which has this suffix or none."""

    def parse(text: str) -> Path:
        """The path; ArgumentTypeError for another suffix."""
        path = Path(text)
        if path.suffix.lower() not in ("", suffix):
            raise argparse.ArgumentTypeError(
                f"expected a file name with {suffix}, got {text!r:.60}"
            )
        return path

    return parse


OF_FILES = (".html", ".jpg", ".json", ".png", ".safetensors", ".txt")
"""Suffixes that no folder which is to be written has."""


def folder_named(text: str) -> Path:
    """The name of a folder to write, which is not that of a file."""
    path = Path(text)
    if path.suffix.lower() in OF_FILES:
        raise argparse.ArgumentTypeError(f"expected the name of a folder, got {text!r:.60}")
    return path


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, which suggests what may have been meant.

    Options are written out, for what an abbreviation stands for changes with every new option.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False} | settings)

    def typed(self, arguments: Sequence[str]) -> frozenset[str]:
        """The destinations of the options that a command line has."""
        words = {word.partition("=")[0] for word in arguments}
        return frozenset(a.dest for a in self._actions if words & set(a.option_strings))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does, but refuse arguments that it does not know.

        Raises:
            InputError: arguments that do not fit.
        """
        parsed, left = super().parse_known_args(args, namespace)
        if left:
            options = [name for action in self._actions for name in action.option_strings]
            hint = did_you_mean(left[0].partition("=")[0], options)
            self.error(f"unrecognized arguments: {' '.join(left)}{hint}")
        return parsed, left

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments.

        Raises:
            InputError: always, with argparse's message and the choice that may have been meant.
        """
        found = INVALID_CHOICE.search(message)
        if found:
            choices = [choice.strip("' ") for choice in found["choices"].split(",")]
            message += did_you_mean(found["given"], choices)
        raise InputError(f"{message} (see --help)")


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """``; did you mean WORD?`` with the closest of the known words, or nothing if none is close."""
    close = difflib.get_close_matches(given, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


@dataclass(frozen=True)
class Command:
    """A subcommand of a program.

    Attributes:
        module: the dotted name of the module that defines it. It has ``add(commands)``, which adds
            its parser, and ``run(options)``, which does the work and returns the exit status, or
            None for 0. Importing it loads no heavy library, so that bad arguments answer at once.
        says: what it does, in one line.
        shared: whether several processes under torchrun share its work.
    """

    module: str
    says: str
    shared: bool = False


def run_command(
    program: str,
    description: str,
    commands: Mapping[str, Command],
    version: str,
    arguments: Sequence[str],
) -> int:
    """Parse the arguments, import the module of the chosen command alone, and run it.

    Args:
        program: how the program is called, such as ``python -m toy``.
        description: of the program, for its help.
        commands: the subcommands by name.
        version: of the package.
        arguments: the command line.

    Returns:
        The exit status.

    Raises:
        InputError: arguments that do not fit, or that the command refuses; several processes for a
            command that takes one.
    """
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    whole = {chosen} if chosen in commands else set()
    if list(arguments[:1]) == [COMPLETION]:
        whole = set(commands)
    parser = Parser(prog=program, description=description)
    add_version(parser, version)
    add_completion(parser)
    parsers = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    for name, command in commands.items():
        if name in whole:
            import_module(command.module).add(_Described(parsers, command.says))
        else:
            parsers.add_parser(name, help=command.says)
    options = parser.parse_args(arguments)
    options.as_typed = shlex.join([*program.split(), *arguments])
    options.typed = parsers.choices[options.command].typed(arguments)
    if process_count() > 1 and not commands[options.command].shared:
        those = [name for name, command in commands.items() if command.shared]
        taking = f"; only {' and '.join(those)} take several" if those else ""
        raise InputError(
            f"{options.command}: expected one process, torchrun started {process_count()}{taking}"
        )
    return import_module(commands[options.command].module).run(options) or 0


def add_version(parser: Parser, version: str) -> None:
    """Add ``--version``, which prints the name of the distribution and this version."""
    parser.add_argument("--version", action="version", version=f"diffusion-martingale {version}")


@dataclass(frozen=True)
class _Described:
    """Subcommands whose parsers say in the list of commands what they do, which completion needs."""

    parsers: Any
    says: str

    def add_parser(self, name: str, **options: Any) -> Any:
        """As argparse's own, with help."""
        return self.parsers.add_parser(name, help=self.says, **options)


class PrintCompletion(argparse.Action):
    """Print the completion of the installed program for a shell, and end."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        """Print it under the name of the installed program, as shells complete no ``python -m``."""
        import shtab

        parser.prog = f"martingale-{parser.prog.split()[-1]}"
        print(shtab.complete(parser, shell=values))
        parser.exit(0)


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Add the option that prints the completion for a shell."""
    parser.add_argument(
        COMPLETION, choices=SHELLS, action=PrintCompletion, metavar="SHELL",
        help=f"print completion for {', '.join(SHELLS)}: eval \"$(martingale-... {COMPLETION} bash)\"",
    )  # fmt: skip


def count(text: str) -> int:
    """Parse a positive whole number: a ``type`` for argparse."""
    return _whole(text, 1, MAX_COUNT, f"a positive whole number up to {MAX_COUNT}")


def seed(text: str) -> int:
    """Parse a seed, 0 to ``MAX_SEED``: a ``type`` for argparse."""
    return _whole(text, 0, MAX_SEED, f"a seed from 0 to {MAX_SEED}")


def _whole(text: str, least: int, most: int, expected: str) -> int:
    if not text.isdecimal() or len(text) > LONGEST_SHOWN or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text[:LONGEST_SHOWN]!r}")
    return int(text)


def run(name: str, main: Callable[[list[str]], int]) -> None:
    """Run ``main`` on the command line and exit with its status.

    An ``InputError``, and an error of the system such as a full disk, is printed as one line after the
    program's name and exits with status 2; an interruption exits with status 130 and prints nothing,
    and so do, with status 143, a request to end (SIGTERM), and with status 141 a reader that went away,
    such as ``head``. Of several processes under torchrun the first alone prints what a command says,
    and one alone, whichever comes first, why the run ends early.
    """
    signal.signal(signal.SIGTERM, _leave)
    if process_rank():
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - until the process ends
    try:
        status = _status(main)
        sys.stdout.flush()
        if status == TERMINATED and process_count() > 1:
            _say(name, f"torchrun: {ENDED_EARLY}")
        sys.exit(status)
    except BrokenPipeError:
        _drop_output()
        sys.exit(NO_READER)
    except FailedElsewhereError:
        sys.exit(BAD_INPUT)
    except InputError as error:
        _refuse(name, str(error))
    except OSError as error:
        _drop_output()
        if error.errno == errno.ENAMETOOLONG:
            _refuse(name, f"file name too long: {str(error.filename)[:LONGEST_SHOWN]} ...")
        _refuse(name, f"{error.filename or 'input or output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _status(main: Callable[[list[str]], int]) -> Any:
    try:
        return main(sys.argv[1:])
    except SystemExit as left:  # of --help
        return left.code
    except Terminated:
        return TERMINATED
    finally:
        if process_count() > 1:  # torchrun asks for the end, while what is to be said is said
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


class Terminated(KeyboardInterrupt):
    """A request to end (SIGTERM).

    It is no ``SystemExit``, which a user's code may raise, and which is told as its failure.
    """


def _leave(*_: Any) -> NoReturn:
    """End as on an error: what is half-written goes."""
    raise Terminated


def _drop_output() -> None:
    """Let go of what was printed and cannot be written; Python would try again, and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refuse(name: str, message: str) -> NoReturn:
    _say(name, message)
    sys.exit(BAD_INPUT)


def _say(name: str, message: str) -> None:
    """Print why the run ends, unless another of its processes did."""
    if process_count() > 1:
        from theory.support.workers import speaks_first

        if not speaks_first():
            return
    print(f"{name}: {in_one_line(message)}", file=sys.stderr)
