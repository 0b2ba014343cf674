"""``python -m real``: calibrate, validate and sample real networks; train the one that ships."""

from theory.support.command_line import run


def main(arguments: list[str]) -> int:
    """Run the subcommand; libraries are loaded here, where an interruption is expected."""
    from real import cli

    return cli.main(arguments)


def program() -> None:
    """Run on the command line: the entry point of ``martingale-real``."""
    run("python -m real", main)


if __name__ == "__main__":
    program()
