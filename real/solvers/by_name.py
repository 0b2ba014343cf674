"""Solvers by name, and the one that a network is usually sampled with."""

from real.solvers import analytic, ddim, deis, dpm, euler, heun, unipc
from real.solvers.base import Solver
from theory.calibration.result import Calibration
from theory.diffusion.schedules import EDM, RectifiedFlow, Schedule
from theory.support.errors import InputError

NAMED = {
    solver.name: solver
    for module in (ddim, dpm, unipc, deis, heun, euler)
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


def solver_or_default(name: str | None, schedule: Schedule) -> str:
    """The given name, or the solver that networks of such a schedule are usually sampled with.

    Raises:
        InputError: there is no solver of that name.
    """
    usual = "heun" if isinstance(schedule, EDM) else "ddim"
    usual = "flow-euler" if isinstance(schedule, RectifiedFlow) else usual
    return solver_named(name or usual).name


EVENLY = "dpm-multi-2"
"""A solver that every network can be sampled with, at times equally spaced in log-SNR."""


def solvers_to_fit(name: str | None, schedule: Schedule) -> tuple[str, ...]:
    """The given solver, or those of which one is chosen where none is given, the usual one first.

    Raises:
        InputError: there is no solver of that name.
    """
    usual = solver_or_default(name, schedule)
    return (usual,) if name else tuple(dict.fromkeys((usual, EVENLY)))


def solver_pair(
    name: str | None, schedule: Schedule, calibration: Calibration
) -> tuple[Solver, Solver]:
    """The solvers for a network without and with its calibration.

    They are one and the same, except for ``ddpm-analytic``: its variance comes from the energy of
    the prediction, which the calibration changes.

    Raises:
        InputError: no solver of that name, or a calibration that has not measured the variance.
    """
    if name != analytic.NAME:
        usual = solver_named(solver_or_default(name, schedule))
        return usual, usual
    calibration.noise_energy_at(calibration.times[:1])
    return (
        analytic.analytic_solver(lambda times: calibration.noise_energy_at(times)[:, 0]),
        analytic.analytic_solver(lambda times: calibration.noise_energy_at(times)[:, 1]),
    )
