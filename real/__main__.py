"""``python -m real``: calibrate, validate and sample real networks; train the one that ships."""

from real.cli import main
from theory.support.allocator import keep_freed_memory
from theory.support.command_line import run


def program() -> None:
    """Run on the command line: the entry point of ``martingale-real``."""
    keep_freed_memory()
    run("python -m real", main)


if __name__ == "__main__":
    program()
