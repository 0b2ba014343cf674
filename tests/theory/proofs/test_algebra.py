"""The reverse generator and the verdicts: what is true is proved, what is broken is not."""

import pytest
import sympy as sp

from tests.theory.proofs.proving import require_verdicts
from theory.proofs.algebra import (
    Statement,
    alpha,
    coordinates,
    density,
    f,
    g,
    impose_dynamics,
    prove,
    t,
)

X = coordinates(1)
(x,) = X
Q = density(X)
SCORE = sp.diff(sp.log(Q), x)


def generator(h, score_term, laplacian_term):
    """Reverse generator of h with chosen coefficients of grad log q and of the Laplacian."""
    moved = (f * x + score_term * SCORE) * sp.diff(h, x) + laplacian_term * sp.diff(h, x, 2)
    return impose_dynamics(sp.diff(h, t) + moved, Q, X)


TRUE = {"score": lambda: generator(alpha * SCORE, -(g**2), -(g**2) / 2)}
BROKEN = {
    "score without alpha": lambda: generator(SCORE, -(g**2), -(g**2) / 2),
    "score with alpha squared": lambda: generator(alpha**2 * SCORE, -(g**2), -(g**2) / 2),
    "wrong sign of the score term": lambda: generator(alpha * SCORE, g**2, -(g**2) / 2),
    "half of the score term": lambda: generator(alpha * SCORE, -(g**2) / 2, -(g**2) / 2),
    "wrong sign of the Laplacian": lambda: generator(alpha * SCORE, -(g**2), g**2 / 2),
    "forward direction": lambda: generator(alpha * SCORE, 0, g**2 / 2),
    "ODE direction": lambda: generator(alpha * SCORE, -(g**2) / 2, 0),
}


def test_only_the_true_generator_annihilates_the_score_martingale():
    require_verdicts(TRUE, BROKEN)


def test_a_broken_identity_shows_its_residual():
    proof = prove(Statement("id", "0", "says", lambda: [BROKEN["ODE direction"]()]))
    assert not proof.proved
    assert proof.residual != "0"
    assert (proof.id, proof.section, proof.says) == ("id", "0", "says")


def test_one_false_residual_among_true_ones_is_enough():
    mixed = Statement("mixed", "0", "", lambda: [TRUE["score"](), BROKEN["ODE direction"]()])
    assert not prove(mixed).proved


def test_the_harness_names_what_is_judged_wrongly():
    with pytest.raises(AssertionError, match=r"not proved: false one, proved: true one"):
        require_verdicts({"false one": lambda: x}, {"true one": lambda: x - x, "other": lambda: x})
