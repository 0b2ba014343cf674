"""``python -m toy``: verify every claim against exact truth; draw the theory figures."""

from theory.support.command_line import run


def main(arguments: list[str]) -> int:
    """Run the subcommand; libraries are loaded here, where an interruption is expected."""
    import torch

    from toy import cli

    torch.set_num_threads(1)  # the tensors are small
    return cli.main(arguments)


def program() -> None:
    """Run on the command line: the entry point of ``martingale-toy``."""
    run("python -m toy", main)


if __name__ == "__main__":
    program()
