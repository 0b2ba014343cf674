"""``python -m real``: calibrate, validate and sample real networks; train the one that ships."""

from real.cli import main
from theory.support.command_line import run

if __name__ == "__main__":
    run("python -m real", main)
