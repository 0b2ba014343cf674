"""A batch that is too large for memory is halved, and nothing else changes."""

import itertools

import pytest
import torch

from real.running.memory import WithinMemory
from tests.real.running.crowded import Crowded, inputs
from theory.support.errors import InputError
from theory.support.memory import is_out_of_memory


def test_results_are_those_of_one_large_call_in_order():
    for n, most in itertools.product((1, 7, 8, 13), (1, 3, 8, 100)):
        x_t, t, labels = inputs(n)
        expected = Crowded(n)(x_t, t, labels)
        assert torch.equal(WithinMemory(Crowded(most))(x_t, t, labels), expected), (n, most)
        texts = [int(label) for label in labels]
        assert torch.equal(WithinMemory(Crowded(most))(x_t, t, texts), expected), (n, most)
        assert torch.equal(WithinMemory(Crowded(most))(x_t, t), Crowded(n)(x_t, t)), (n, most)


def test_a_batch_is_halved_until_it_fits_and_never_tried_large_again():
    network = Crowded(3)
    within = WithinMemory(network)
    within(*inputs(8))
    assert network.calls == [8, 4, 2, 2, 2, 2]
    network.calls.clear()
    within(*inputs(5))
    assert network.calls == [2, 2, 1]


def test_what_was_computed_before_memory_ran_out_is_kept():
    """Memory shrinks while it runs: only what failed is repeated."""
    network = Crowded(4)
    within = WithinMemory(network)
    within.most = 4
    plain = network.__call__

    def shrinking(x_t, t, condition=None):
        network.most = 4 if len(network.calls) < 2 else 2
        return plain(x_t, t, condition)

    within.predict = shrinking
    x_t, t, _ = inputs(12)
    assert torch.equal(within(x_t, t), Crowded(12)(x_t, t))
    assert network.calls == [4, 4, 4, 2, 2]


def test_nothing_is_split_while_memory_suffices():
    network = Crowded(100)
    within = WithinMemory(network)
    within(*inputs(64))
    assert network.calls == [64]


def test_a_single_time_serves_all_images():
    x_t, _, _ = inputs(5)
    expected = Crowded(5)(x_t, torch.full((5,), 3.0))
    assert torch.equal(WithinMemory(Crowded(2))(x_t, torch.tensor(3.0)), expected)


def test_no_room_for_one_image_is_said_in_one_line():
    with pytest.raises(InputError, match="expected room for one image"):
        WithinMemory(Crowded(0))(*inputs(4))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("whatever"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (MemoryError(), True),
        (RuntimeError("shapes do not fit"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_other_errors_are_not_taken_for_memory(error, expected):
    assert is_out_of_memory(error) == expected
    network = Crowded(2, error)
    if expected:
        assert len(WithinMemory(network)(*inputs(4))) == 4
    else:
        with pytest.raises(type(error)):
            WithinMemory(network)(*inputs(4))
        assert network.calls == [4]
