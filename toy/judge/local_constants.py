"""Hypothesis without the constants that it finds in the modules which happen to be loaded.

Five draws in a hundred are constants: some are Hypothesis' own, some are collected from every loaded
module that is not an installed package. The latter make cases depend on what is imported and on where
the code lies.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from hypothesis import __version__
from hypothesis.internal.conjecture import providers

COLLECTOR, CACHE = "_get_local_constants", "CONSTANTS_CACHE"
"""Where Hypothesis collects the constants, and keeps those that fit a range."""


@contextmanager
def without_local_constants() -> Iterator[None]:
    """Within the block, the cases of a strategy depend on the seed alone.

    Hypothesis' own state is put aside, and is as it was after the block.

    Raises:
        RuntimeError: this version of Hypothesis collects constants in another way.
    """
    missing = [name for name in (COLLECTOR, CACHE, "Constants") if not hasattr(providers, name)]
    if missing:
        raise RuntimeError(
            f"Hypothesis {__version__} has no {', '.join(missing)}: it would try constants of the "
            "modules that are loaded, and a seed would not fix the cases"
        )
    cache = type(providers.CONSTANTS_CACHE)(providers.CONSTANTS_CACHE.max_size)
    changes: dict[str, Any] = {COLLECTOR: providers.Constants, CACHE: cache}
    with mock.patch.multiple(providers, **changes):
        yield
