"""Solvers of the reverse process, by name, and sampling with them. Their steps are diffusers'.

Imports ``real.families`` and ``theory``; this file is its face.
"""

from real.solvers.base import Solver, SolverRun
from real.solvers.by_name import (
    NAMED,
    default_solver,
    solver_named,
    solver_or_default,
    solver_pair,
)
from real.solvers.sampling import (
    Samples,
    evaluations_per_sample,
    latents,
    sample,
    solver_times,
)

__all__ = [
    "NAMED",
    "Samples",
    "Solver",
    "SolverRun",
    "default_solver",
    "evaluations_per_sample",
    "latents",
    "sample",
    "solver_named",
    "solver_or_default",
    "solver_pair",
    "solver_times",
]
