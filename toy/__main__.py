"""``python -m toy``: verify every claim against exact truth; draw the theory figures."""

from theory import __version__
from theory.support.command_line import Command, run, run_command

COMMANDS = {
    "verify": Command(
        "toy.commands.verify", "try every claim, and its mutants, which must be caught"
    ),
    "example": Command(
        "toy.commands.example", "print a schedule, model or score of your own to start from"
    ),
    "plots": Command("toy.commands.plots", "draw the theory figures"),
}


def main(arguments: list[str]) -> int:
    """Run a subcommand and return its exit status."""
    return run_command(
        "python -m toy",
        "Exact toy models, against which the theory is tried.",
        COMMANDS,
        __version__,
        arguments,
    )


def program() -> None:
    """Run on the command line: the entry point of ``martingale-toy``."""
    run("python -m toy", main)


if __name__ == "__main__":
    program()
