"""The sources of the three packages, for the tests of what no module may do."""

import ast
from functools import cache
from pathlib import Path

import theory

ROOT = Path(theory.__file__).parent.parent
PACKAGES = ("theory", "toy", "real")


@cache
def sources():
    """The text of every module of the three packages, by dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(part for part in parts if part != "__init__")] = path.read_text()
    return found


@cache
def tree(text):
    """A text parsed, once however many tests look at it."""
    return ast.parse(text)


def require_none(found):
    """Fail, with a line for each module in which something was found."""
    lines = [f"{name}: {', '.join(wrong)}" for name, wrong in sorted(found.items()) if wrong]
    assert not lines, "\n".join(["found:", *lines])
