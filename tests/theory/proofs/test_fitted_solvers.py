"""The proofs of section 11 tell the orders of solvers from the next ones."""

import pytest

from tests.theory.proofs.proving import proved
from theory.proofs.fitted_solvers import fit_never_raises, solver_orders


def test_what_is_true_is_proved():
    assert proved(*fit_never_raises())
    assert proved(*solver_orders())


@pytest.mark.parametrize("higher", [{"of_first": 2}, {"of_second": 3}])
def test_an_order_more_is_not_proved(higher):
    assert not proved(*solver_orders(**higher))
