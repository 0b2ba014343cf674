"""Every statement that algebra can prove, in the order of the theory; a module per family.

Imports ``theory.support`` only.
"""

from theory.proofs import (
    calibration,
    concentration,
    first_order,
    fitted_solvers,
    likelihood,
    martingale,
    schedules,
    tower,
)
from theory.proofs.algebra import Statement

STATEMENTS: tuple[Statement, ...] = (
    *schedules.STATEMENTS,
    *martingale.STATEMENTS,
    *concentration.STATEMENTS,
    *calibration.STATEMENTS,
    *likelihood.STATEMENTS,
    *first_order.STATEMENTS,
    *tower.STATEMENTS,
    *fitted_solvers.STATEMENTS,
)
