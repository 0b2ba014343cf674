"""Load a pretrained network of any family as a ``Checkpoint``; the list of published networks.

Imports ``real.files``, ``real.families`` and ``real.compress``; this file is its face. Names are
loaded when they are first asked for, so that the list and the check of a name answer at once.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "Checkpoint": "real.families.checkpoint",
    "EMBEDDED": "real.checkpoints.registry",
    "FAMILIES": "real.checkpoints.loading",
    "damaged": "real.checkpoints.reloading",
    "load": "real.checkpoints.loading",
    "require_known": "real.checkpoints.references",
}
"""The module that each public name lives in."""

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
