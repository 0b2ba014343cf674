"""Every public function, class and method says what it does, and many parameters are explained."""

import ast

from tests.source_code import require_none, sources, tree

DOCUMENTED = ("theory", "toy", "real")
"""The packages whose docstrings are complete so far: to be widened to all three."""

MANY = 5
"""So many parameters, ``self`` not counted, need a section ``Args:``."""


def public(body, owner=""):
    """The public functions, classes and methods of a body, with their names."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield f"{owner}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{node.name}.")


def parameters(function):
    """How many parameters a caller gives."""
    own = function.args
    names = [argument.arg for argument in (*own.posonlyargs, *own.args, *own.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def unexplained(text):
    """The public names of a text that say too little."""
    found = []
    for name, node in public(tree(text).body):
        says = ast.get_docstring(node) or ""
        if not says:
            found.append(name)
        elif isinstance(node, ast.FunctionDef) and parameters(node) >= MANY and "Args:" not in says:
            found.append(f"{name} (Args)")
    return found


def test_every_public_name_is_explained():
    found = {
        name: unexplained(text) for name, text in sources().items() if name.startswith(DOCUMENTED)
    }
    assert len(found) > 40
    require_none(found)


TEXT = '''
def silent(): ...
def explained():
    """What it does."""
    def inner(): ...
def many(a, b, c, *, d, e):
    """Too little."""
def few(a, b, c, d):
    """Enough."""
def explained_many(a, b, c, d, e):
    """Enough.

    Args:
        a: a number.
    """
def _private(): ...
class Silent:
    def method(self): ...
    def explained(self, a, b, c, d):
        """Enough."""
    def many(self, a, b, c, d, e):
        """Too little."""
    def __len__(self): ...
'''


def test_what_says_too_little_would_be_seen():
    expected = ["silent", "many (Args)", "Silent", "Silent.method", "Silent.many (Args)"]
    assert unexplained(TEXT) == expected
