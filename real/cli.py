"""``python -m real``: which command is meant, and running it."""

from real.commands import (
    audit,
    calibrate,
    encode,
    listing,
    quality,
    repair,
    repair_study,
    sample,
    study,
    throughput,
    train,
    validate,
)
from theory.support.command_line import Parser
from theory.support.errors import InputError

COMMANDS = {
    "list": listing,
    "calibrate": calibrate,
    "validate": validate,
    "sample": sample,
    "quality": quality,
    "study": study,
    "repair": repair,
    "repair-study": repair_study,
    "encode": encode,
    "throughput": throughput,
    "audit": audit,
    "train": train,
}


def main(arguments: list[str]) -> int:
    """Run the subcommand.

    Raises:
        InputError: arguments that do not fit, or that the command refuses.
    """
    parser = Parser(
        prog="python -m real", description="Calibrate, validate and sample real image networks."
    )
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    for command in COMMANDS.values():
        command.add(commands)
    options = parser.parse_args(arguments)
    try:
        COMMANDS[options.command].run(options)
    except (RuntimeError, MemoryError) as error:
        from real.running import is_out_of_memory

        if not is_out_of_memory(error):
            raise
        raise InputError("memory: this takes more than there is; fewer at once may fit") from error
    return 0
