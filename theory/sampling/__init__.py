"""Solvers and the sampler's own law, calibrated: fitted to a network's fine solution, and to q_t."""

from theory.support.public_names import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "DataLaw": "theory.sampling.data_law",
        "DataStart": "theory.sampling.start",
        "FittedSolver": "theory.sampling.fitted",
        "Flow": "theory.sampling.flow",
        "Multistep": "theory.sampling.multistep",
        "first_order": "theory.sampling.multistep",
        "fit_solver": "theory.sampling.fit",
        "second_order": "theory.sampling.multistep",
    },
)
