"""A refusal: one line that says what was expected and what came."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from theory.support.errors import InputError


@contextmanager
def refusal(match: str, case: object = None) -> Iterator[None]:
    """Expect an InputError of one line that matches; if it does not come, the failure names the case."""
    try:
        yield
    except InputError as error:
        said = str(error)
    else:
        pytest.fail(f"not refused: {case!r}, expected {match!r}")
    assert re.search(match, said), f"{case!r}: {match!r} is not in {said!r}"
    assert "\n" not in said, f"{case!r}: {said!r}"


@contextmanager
def exact_refusal(says: str, kind: type[Exception] = InputError) -> Iterator[None]:
    """Expect an error of that kind which says this and nothing else."""
    with pytest.raises(kind) as caught:
        yield
    assert str(caught.value) == says
