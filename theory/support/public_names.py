"""The public names of a package, each loaded from its module when it is first asked for."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

LazyNames = tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]


def lazy_names(package: str, home: Mapping[str, str]) -> LazyNames:
    """``__all__``, ``__getattr__`` and ``__dir__`` of a package that loads its names late.

    Args:
        package: its dotted name.
        home: the dotted name of the module that each public name lives in.
    """
    names = sorted({"__version__", *home})

    def load(name: str) -> Any:
        """The object of that name; later uses find it in the package itself."""
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(home[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return names, load, lambda: names
