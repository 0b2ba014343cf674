"""``python -m real``: the commands by name. The module of the chosen one alone is imported."""

from theory import __version__
from theory.support.command_line import Command, run_command
from theory.support.errors import InputError

SHARED = ("calibrate", "validate")
"""Commands whose work several processes under torchrun share."""

COMMANDS = {
    name: Command(f"real.commands.{module}", says, name in SHARED)
    for name, module, says in (
        ("list", "listing", "list the networks that are known by name"),
        ("calibrate", "calibrate", "estimate the shift of a network at each time"),
        ("validate", "validate", "prove a calibration on held-out images, and write a report"),
        ("compare", "compare", "say which of two networks of one target is better, and where"),
        ("test", "test", "say at which times a network is miscalibrated, and stop when it is known"),
        ("sample", "sample", "draw samples, with or without a calibration"),
        ("fit-solver", "fit_solver", "fit a solver of few evaluations to a network"),
        ("choose", "choose", "choose by samples how to sample: calibrated, fitted, or neither"),
        ("solver-study", "solver_study", "compare solvers, fitted and not, over evaluations"),
        ("quality", "quality",
         "compare samples with and without a calibration against real images"),
        ("study", "study",
         "compare the estimators: error against evaluations, gain against images"),
        ("repair", "repair",
         "quantize or prune a network, calibrate it, and save both together"),
        ("repair-study", "repair_study",
         "compare calibration with other corrections on networks of 8, 4 and 3 bits"),
        ("encode", "encode", "encode images for a network on latents, once"),
        ("throughput", "throughput",
         "how much of the bare network's throughput a calibration keeps"),
        ("gpu-check", "gpu_check", "compare a GPU with the CPU, and measure its speed"),
        ("audit", "audit", "how much of a published plain average is noise"),
        ("train", "train", "train a network that ships"),
    )
}  # fmt: skip


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status.

    Raises:
        InputError: arguments that do not fit, or that the command refuses.
    """
    try:
        return run_command(
            "python -m real", "Calibrate, validate and sample real image networks.", COMMANDS,
            __version__, arguments,
        )  # fmt: skip
    except (RuntimeError, MemoryError) as error:
        from theory.support.memory import is_out_of_memory

        if not is_out_of_memory(error):
            raise
        raise InputError("memory: this takes more than there is; fewer at once may fit") from error
