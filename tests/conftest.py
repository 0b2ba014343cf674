"""Settings of the whole suite, and the guard of global random state."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)
settings.register_profile(
    "suite",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=50,
    print_blob=False,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """Hypothesis takes the type checker's draws from Python's generator for a strategy's own."""
    config.addinivalue_line("filterwarnings", "ignore:Do not use the `random` module inside")


def _states() -> dict[str, Any]:
    """Of torch and numpy; the type checker of the tests draws from Python's own."""
    return {
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state(legacy=True),  # noqa: NPY002
    }


def _restore(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    np.random.set_state(states["numpy"])  # noqa: NPY002


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):
        return all(map(np.array_equal, one, other))
    return bool(np.array_equal(one, other))


@contextmanager
def _unchanged_random_state() -> Iterator[None]:
    before = _states()
    yield
    after = _states()
    _restore(before)
    changed = [name for name in before if not _same(before[name], after[name])]
    if changed:
        pytest.fail(f"global random state changed: {', '.join(changed)}")


@pytest.fixture
def random_state_guard() -> Callable[[], AbstractContextManager[None]]:
    """The guard itself, for the tests of what it lets pass."""
    return _unchanged_random_state


@pytest.fixture(autouse=True)
def _global_random_state_is_left_alone() -> Iterator[None]:
    with _unchanged_random_state():
        yield
