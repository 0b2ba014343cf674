"""What no module of the packages may do: assert, seed global generators, load code from a file."""

import ast

from tests.source_code import require_none, sources, tree
from tests.test_architecture import imported

SEEDING = {"torch.manual_seed", "torch.seed", "numpy.random.seed", "random.seed"}
NEVER_IMPORTED = {"pickle"}


def full_names(module):
    """Local names of what is imported, and their full names."""
    found = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                found[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def full_name(node, known):
    """Full name of what is called, such as numpy.random.seed for np.random.seed."""
    if isinstance(node, ast.Name):
        return known.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        owner = full_name(node.value, known)
        return owner and f"{owner}.{node.attr}"
    return None


def loads_code(call):
    safe = [k.value for k in call.keywords if k.arg == "weights_only"]
    return not (safe and isinstance(safe[0], ast.Constant) and safe[0].value is True)


def offences(text):
    """What a module does that no module may, in the order of its lines."""
    module = tree(text)
    known, found = full_names(module), []
    for node in ast.walk(module):
        if isinstance(node, ast.Assert):
            found.append((node.lineno, "assert"))
        elif isinstance(node, ast.Call):
            called = full_name(node.func, known)
            if called in SEEDING or (called == "torch.load" and loads_code(node)):
                found.append((node.lineno, called))
    imports = [(0, name) for name in sorted(imported(text) & NEVER_IMPORTED)]
    return [what for _, what in sorted(imports + found)]


def test_no_module_does_what_none_may():
    found = {name: offences(text) for name, text in sources().items()}
    require_none(found)


OFFENSIVE = """
import pickle
import random
import numpy as np
import torch as th
from torch import load, manual_seed as start
def work(path):
    assert path
    th.manual_seed(0)
    start(0)
    np.random.seed(0)
    random.seed(0)
    th.load(path)
    load(path, weights_only=False)
"""
HARMLESS = """
import numpy as np
import random
import torch
def work(path):
    if not path:
        raise ValueError("assert")
    generator = torch.Generator().manual_seed(0)
    random.Random(0).random(), np.random.default_rng(0)
    return torch.load(path, weights_only=True), np.load(path)
"""


def test_every_offence_is_found():
    assert offences(OFFENSIVE) == [
        "pickle", "assert", "torch.manual_seed", "torch.manual_seed", "numpy.random.seed",
        "random.seed", "torch.load", "torch.load",
    ]  # fmt: skip


def test_what_is_harmless_is_not():
    assert offences(HARMLESS) == []
