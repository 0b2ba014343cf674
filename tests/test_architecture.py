"""Imports go one way, and what the packages must never do they do not."""

import ast
from pathlib import Path

import pytest

import theory

ROOT = Path(theory.__file__).parent.parent
FORBIDDEN = {
    "theory": {"toy", "real", "matplotlib", "diffusers", "PIL", "sklearn"},
    "toy": {"real", "diffusers"},
    "real": {"toy"},
}
SEEDING = {"torch.manual_seed", "torch.seed", "numpy.random.seed", "random.seed"}
NEVER_IMPORTED = {"pickle"}


def names(tree):
    """Local names of what is imported, and their full names."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                found[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def imported(source):
    """Top-level packages that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("relative import" if node.level else node.module.split(".")[0])
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


def offences(source):
    """What a module does that no module may, in the order of its lines."""
    tree = ast.parse(source)
    known, found = names(tree), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            found.append((node.lineno, "assert"))
        elif isinstance(node, ast.Call):
            called = full_name(node.func, known)
            if called in SEEDING or (called == "torch.load" and loads_code(node)):
                found.append((node.lineno, called))
    imports = [(0, name) for name in sorted(imported(source) & NEVER_IMPORTED)]
    return [what for _, what in sorted(imports + found)]


def sources(package):
    return sorted((ROOT / package).rglob("*.py"))


MODULES = [path for package in FORBIDDEN for path in sources(package)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    assert not imported(path.read_text()) & (FORBIDDEN[package] | {"relative import"})


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_offends(path):
    assert offences(path.read_text()) == []


def test_every_package_is_walked():
    assert {path.parent.name for path in MODULES} >= set(FORBIDDEN)
    assert ROOT / "toy" / "claims" / "table.py" in MODULES


IMPORTS = """
import torch, real.images
from toy.mixture import GaussianMixture
def later():
    import PIL.Image as image
    from . import secret
"""


def test_imports_are_found_wherever_they_stand():
    assert imported(IMPORTS) == {"torch", "real", "toy", "PIL", "relative import"}


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
