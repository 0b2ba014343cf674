"""``python -m real ...`` that keeps its progress all the time."""

from real.cli import main
from theory.calibration import kept
from theory.support.command_line import run

if __name__ == "__main__":
    kept.SECONDS, kept.SHARE_OF_TIME = 0.05, float("inf")
    run("python -m real", main)
