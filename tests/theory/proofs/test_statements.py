"""The table of all statements: every family is in it, and every id is its own."""

import importlib
import pkgutil

from theory import proofs

SECTIONS = {
    "schedules": {"0", "2"},
    "martingale": {"1"},
    "concentration": {"2"},
    "calibration": {"4"},
    "likelihood": {"5"},
    "first_order": {"8"},
    "tower": {"9"},
    "fitted_solvers": {"11"},
}


def test_every_family_is_registered_in_its_sections():
    modules = [
        importlib.import_module(f"theory.proofs.{module.name}")
        for module in pkgutil.iter_modules(proofs.__path__)
    ]
    found = {
        module.__name__.rpartition(".")[2]: module.STATEMENTS
        for module in modules
        if hasattr(module, "STATEMENTS")
    }
    assert {name: {s.section for s in family} for name, family in found.items()} == SECTIONS
    listed = [s.id for name in SECTIONS for s in found[name]]
    assert [s.id for s in proofs.STATEMENTS] == listed


def test_what_a_proof_is_of_is_said():
    """In every family something is counted; what is written out is said to be of few dimensions."""
    known = {"", "any d", "d = 1", "d = 2", "d = 3", "d <= 2"}
    assert {s.holds_in for s in proofs.STATEMENTS} == known
    assert {s.section for s in proofs.STATEMENTS if not s.identity} == set().union(
        *SECTIONS.values()
    )


def test_statement_ids_are_unique():
    ids = [s.id for s in proofs.STATEMENTS]
    assert sorted(set(ids)) == sorted(ids)
