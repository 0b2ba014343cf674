"""Every name that a function looks up is there: shapes in annotations keep linters from telling."""

import builtins
import dis
import importlib
import pkgutil
import types
from pathlib import Path

import pytest

import real
import theory
import toy

MODULES = [
    name
    for package in (theory, toy, real)
    for _, name, _ in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not name.endswith("__main__")
]


def codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def undefined(source, known):
    """Names that the source looks up among its module's, and that are not known there."""
    used = {
        instruction.argval
        for code in codes(compile(source, "module", "exec", dont_inherit=True))
        for instruction in dis.get_instructions(code)
        if instruction.opname == "LOAD_GLOBAL"
    }
    return sorted(used - set(known) - set(vars(builtins)))


@pytest.mark.parametrize("name", MODULES)
def test_every_name_is_defined(name):
    module = importlib.import_module(name)
    source = Path(module.__file__).read_text()
    typing_only = "if TYPE_CHECKING:" in source
    missing = undefined(source, vars(module))
    assert not [name for name in missing if not (typing_only and f"import {name}" in source)]


def test_a_missing_name_would_be_seen():
    assert undefined("def f():\n    return load(1)", {}) == ["load"]
    assert undefined("def f(x):\n    return len(x)", {}) == []
