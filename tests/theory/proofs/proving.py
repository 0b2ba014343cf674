"""What the tests of every family of proofs share: true identities are proved, broken ones are not."""

from theory.proofs.algebra import Statement, prove


def proved(*residuals):
    return prove(Statement("", "", "", lambda: list(residuals))).proved


def require_verdicts(true, broken):
    """Fail with the names of the true identities that are not proved, and of broken ones that are."""
    wrong = [f"not proved: {name}" for name, residual in true.items() if not proved(residual())]
    wrong += [f"proved: {name}" for name, residual in broken.items() if proved(residual())]
    assert not wrong, ", ".join(wrong)
