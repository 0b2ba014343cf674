"""Every name that a function looks up is there: shapes in annotations keep linters from telling."""

import builtins
import dis
import importlib
import types

from tests.source_code import require_none, sources


def codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def undefined(text, known):
    """Names that a text looks up among its module's, and that are not known there.

    Those that it imports for type checkers alone do not count.
    """
    used = {
        instruction.argval
        for code in codes(compile(text, "module", "exec", dont_inherit=True))
        for instruction in dis.get_instructions(code)
        if instruction.opname == "LOAD_GLOBAL"
    }
    missing = used - set(known) - set(vars(builtins))
    typing_only = "if TYPE_CHECKING:" in text
    return sorted(name for name in missing if not (typing_only and f"import {name}" in text))


def test_every_name_is_defined():
    found = {
        name: undefined(text, vars(importlib.import_module(name)))
        for name, text in sources().items()
    }
    require_none(found)


def test_a_missing_name_would_be_seen():
    assert undefined("def f():\n    return load(1)", {}) == ["load"]
    assert undefined("def f(x):\n    return len(x)", {}) == []
    typed = "if TYPE_CHECKING:\n    from a import A\ndef f(x) -> A:\n    return A"
    assert undefined(typed, {}) == []
    assert undefined(typed, {"TYPE_CHECKING": False}) == []
    assert undefined(typed.replace("import A", "import B"), {}) == ["A"]
