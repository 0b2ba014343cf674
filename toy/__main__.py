"""``python -m toy``: verify every claim against exact truth; draw the theory figures."""

from theory.support.command_line import run


def main(arguments: list[str]) -> int:
    """Run the subcommand; libraries are loaded here, where an interruption is expected."""
    import torch

    from toy import cli

    torch.set_num_threads(1)  # the tensors are small
    return cli.main(arguments)


if __name__ == "__main__":
    run("python -m toy", main)
