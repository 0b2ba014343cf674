"""``python -m real``: calibrate, validate and sample real networks; train the one that ships."""

from theory.support.command_line import run


def main(arguments: list[str]) -> int:
    """Run the subcommand; libraries are loaded here, where an interruption is expected."""
    from real import cli

    return cli.main(arguments)


if __name__ == "__main__":
    run("python -m real", main)
