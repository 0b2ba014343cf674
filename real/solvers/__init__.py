"""Solvers of the reverse process, by name. Their steps are diffusers'."""

from functools import partial

from torch import Tensor

from real.solvers import analytic, ddim, dpm, euler, heun
from real.solvers.base import Plan, Solver
from theory.calibration.result import Calibration
from theory.diffusion.schedules import EDM, RectifiedFlow, Schedule
from theory.support.errors import InputError

__all__ = ["NAMED", "Plan", "Solver", "chosen", "default_for", "named", "pair"]

NAMED = {
    solver.name: solver
    for module in (ddim, dpm, heun, euler)
    for solver in module.SOLVERS
}  # fmt: skip


def named(name: str) -> Solver:
    """The solver of that name.

    Raises:
        InputError: there is none.
    """
    if name not in NAMED:
        raise InputError(f"solver: expected one of {', '.join(NAMED)}, got {name!r}")
    return NAMED[name]


def default_for(schedule: Schedule) -> str:
    """The solver that networks of such a schedule are usually sampled with."""
    if isinstance(schedule, EDM):
        return "heun"
    return "flow-euler" if isinstance(schedule, RectifiedFlow) else "ddim"


def chosen(name: str | None, schedule: Schedule) -> str:
    """The name of a solver that there is: the one asked for, or else the schedule's usual one.

    Raises:
        InputError: there is none of that name.
    """
    return named(name or default_for(schedule)).name


def pair(name: str | None, schedule: Schedule, calibration: Calibration) -> tuple[Solver, Solver]:
    """The solver for a network without and with its calibration: one and the same, but for
    ``ddpm-analytic``, whose variance is that of the prediction which it is used with.

    Raises:
        InputError: there is none of that name, or the variance has not been measured.
    """
    if name != analytic.NAME:
        usual = named(chosen(name, schedule))
        return usual, usual
    calibration.noise_energy_at(calibration.times[:1])
    return (
        analytic.solver(partial(_energy, calibration, 0)),
        analytic.solver(partial(_energy, calibration, 1)),
    )


def _energy(calibration: Calibration, column: int, times: Tensor) -> Tensor:
    return calibration.noise_energy_at(times)[:, column]
