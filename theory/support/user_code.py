"""Loading an object from a user's own Python file, which runs the file."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

from theory.support.errors import InputError, one_line_with_type


def load_object(reference: str) -> Any:
    """The object NAME of FILE.py:NAME.

    Raises:
        InputError: the reference has another form, the file is missing or fails, or it lacks the name.
    """
    file, _, name = reference.rpartition(":")
    path = Path(file)
    if path.suffix != ".py" or not name:
        raise InputError(f"expected FILE.py:NAME, got {reference!r}")
    if not path.is_file():
        raise InputError(f"no file {path}")
    module_name = f"brought_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise InputError(f"cannot load {path}: {one_line_with_type(error)}") from error
    if not hasattr(module, name):
        raise InputError(f"no {name} in {path}")
    return getattr(module, name)
