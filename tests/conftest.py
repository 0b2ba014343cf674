"""Settings of the whole suite, and the guard of global random state."""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile(
    "suite", derandomize=True, deadline=None, database=None, max_examples=50, print_blob=False
)
settings.load_profile("suite")


def _random_states() -> dict[str, Any]:
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": str([x.tolist() if isinstance(x, np.ndarray) else x for x in _numpy_state()]),
        "random": random.getstate(),
    }


def _numpy_state() -> tuple[Any, ...]:
    return np.random.get_state()  # noqa: NPY002


@contextmanager
def _unchanged_random_state() -> Iterator[None]:
    before = _random_states()
    torch_state, numpy_state, python_state = (
        torch.get_rng_state(),
        _numpy_state(),
        random.getstate(),
    )
    yield
    after = _random_states()
    changed = [name for name in before if before[name] != after[name]]
    torch.set_rng_state(torch_state)
    np.random.set_state(numpy_state)  # noqa: NPY002
    random.setstate(python_state)
    if changed:
        pytest.fail(f"global random state changed: {', '.join(changed)}")


@pytest.fixture
def random_state_guard() -> Callable[[], AbstractContextManager[None]]:
    """The guard itself, for the test that it fails what it must."""
    return _unchanged_random_state


@pytest.fixture(autouse=True)
def _global_random_state_is_left_alone() -> Iterator[None]:
    with _unchanged_random_state():
        yield
