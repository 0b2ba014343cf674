"""Solvers by name, and the one that a network is usually sampled with."""

from real.solvers import analytic, ddim, dpm, euler, heun
from real.solvers.base import Solver
from theory.calibration.result import Calibration
from theory.diffusion.schedules import EDM, RectifiedFlow, Schedule
from theory.support.errors import InputError

NAMED = {
    solver.name: solver
    for module in (ddim, dpm, heun, euler)
    for solver in module.SOLVERS
}  # fmt: skip


def solver_named(name: str) -> Solver:
    """The solver of that name.

    Raises:
        InputError: there is none.
    """
    if name not in NAMED:
        raise InputError(f"solver: expected one of {', '.join(NAMED)}, got {name!r}")
    return NAMED[name]


def default_solver(schedule: Schedule) -> str:
    """The solver that networks of such a schedule are usually sampled with."""
    if isinstance(schedule, EDM):
        return "heun"
    return "flow-euler" if isinstance(schedule, RectifiedFlow) else "ddim"


def solver_or_default(name: str | None, schedule: Schedule) -> str:
    """The given name, or that of the schedule's usual solver.

    Raises:
        InputError: there is no solver of that name.
    """
    return solver_named(name or default_solver(schedule)).name


def solver_pair(
    name: str | None, schedule: Schedule, calibration: Calibration
) -> tuple[Solver, Solver]:
    """The solvers for a network without and with its calibration.

    They are one and the same, except for ``ddpm-analytic``: its variance comes from the energy of
    the prediction, which the calibration changes.

    Raises:
        InputError: there is none of that name, or the variance has not been measured.
    """
    if name != analytic.NAME:
        usual = solver_named(solver_or_default(name, schedule))
        return usual, usual
    calibration.noise_energy_at(calibration.times[:1])
    return (
        analytic.analytic_solver(lambda times: calibration.noise_energy_at(times)[:, 0]),
        analytic.analytic_solver(lambda times: calibration.noise_energy_at(times)[:, 1]),
    )
