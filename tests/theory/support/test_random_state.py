"""The guard of global random state fails a test that changes it, and only such a test."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

POLLUTERS = {
    "torch": lambda: torch.rand(1),
    "numpy": lambda: np.random.rand(),  # noqa: NPY002
}


def test_a_draw_from_global_state_is_reported_and_undone(random_state_guard):
    before = torch.get_rng_state()
    for name, draw in POLLUTERS.items():
        with pytest.raises(pytest.fail.Exception, match=f"changed: {name}$"), random_state_guard():
            draw()
    assert torch.equal(before, torch.get_rng_state())


def test_own_generators_pass(random_state_guard):
    with random_state_guard():
        torch.rand(3, generator=torch.Generator().manual_seed(1))
        np.random.default_rng(1).random()
        random.Random(1).random()


def test_hypothesis_passes(random_state_guard):
    @given(st.randoms(use_true_random=False), st.floats())
    def attempt(generator, number):
        generator.random()

    with random_state_guard():
        attempt()
