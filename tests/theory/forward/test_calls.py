"""Calls of few images at several times are one call, where a network gives each image its own time."""

import pytest
import torch

from tests.refusals import refusal
from theory.diffusion.schedules import VPLinear
from theory.diffusion.targets import NOISE
from theory.forward.calls import filled, portions, side_by_side
from theory.forward.forward_pass import observe
from theory.forward.images import ImageSet
from theory.forward.keyed_noise import Draws
from theory.forward.network import Network

TIMES = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
IMAGES = torch.randn(24, 3, generator=torch.Generator().manual_seed(0)).double()
FEW = torch.arange(24) % 6 == torch.arange(5)[:, None]
"""Four images at each time, two of each batch of twelve."""


def at_own_times(x_t, t, condition=None):
    of_condition = 0.0 if condition is None else condition[:, None]
    return x_t * torch.sin(5 * t)[:, None] + t[:, None] ** 2 + of_condition


def at_the_first(x_t, t, condition=None):
    return at_own_times(x_t, t[:1].expand(len(t)), condition)


def at_the_last(x_t, t):
    return at_own_times(x_t, t[-1:].expand(len(t)))


def at_the_mean(x_t, t):
    return at_own_times(x_t, t.mean().expand(len(t)))


def at_one_alone(x_t, t):
    if not (t == t[0]).all():
        raise ValueError("one time, please")
    return at_own_times(x_t, t)


def of_two_alone(x_t, t):
    """Another function of images that are together, as one that normalizes over the batch."""
    return at_own_times(x_t - x_t.mean(0) * (len(x_t) == 2), t)


def seen_by(predict, members=FEW, reference=None, conditions=None, draws=1):
    """What came of each time, and the sizes of the calls."""
    sizes = []

    def counting(x_t, t, *condition):
        sizes.append(len(x_t))
        return predict(x_t, t, *condition)

    images = ImageSet(IMAGES, conditions, batch_size=12)
    network = Network(counting, VPLinear(), NOISE, reference)
    found = [[] for _ in TIMES]
    for seen in observe(network, images, TIMES, Draws(0, "test", draws), members=members):
        found[seen.time_index].append(seen)
    return found, sizes


def require_own_times(found, conditions=None):
    """Every prediction is that of its own image at its own time under its own condition."""
    for k, portions_of_time in enumerate(found):
        for seen in portions_of_time:
            t = TIMES[k].expand(len(seen.x_0))
            of_condition = () if conditions is None else (conditions[seen.positions],)
            for y, x_t in zip(seen.prediction, seen.x_t, strict=True):
                assert torch.allclose(y, at_own_times(x_t, t, *of_condition), rtol=1e-12)
            assert torch.equal(seen.x_0, IMAGES[seen.positions])
            if conditions is not None:
                assert torch.equal(seen.conditions, of_condition[0])


@pytest.mark.parametrize("draws", [1, 2])
def test_few_images_at_several_times_are_one_call(draws):
    found, sizes = seen_by(at_own_times, draws=draws)
    require_own_times(found)
    assert sizes == [2] * 5 + [12] * draws + [8] * draws


def test_whole_batches_are_calls_of_their_own_and_nothing_is_asked():
    found, sizes = seen_by(at_own_times, members=None)
    require_own_times(found)
    assert sizes == [12] * 10


@pytest.mark.parametrize("predict", [at_the_first, at_the_last, at_the_mean, at_one_alone])
def test_a_network_of_one_time_for_all_is_called_at_one(predict):
    found, sizes = seen_by(predict)
    require_own_times(found)
    assert sizes[-10:] == [2] * 10


def test_a_network_that_looks_at_its_neighbours_is_called_at_one_time():
    _, sizes = seen_by(of_two_alone)
    assert sizes[-10:] == [2] * 10


def test_a_network_without_a_time_takes_all_together():
    _, sizes = seen_by(lambda x_t, t: x_t**2)
    assert sizes[-2:] == [12, 8]


def test_a_reference_of_one_time_for_all_is_called_at_one():
    found, sizes = seen_by(at_own_times, reference=at_the_first)
    require_own_times(found)
    assert sizes[-10:] == [2] * 10
    for seen in (seen for of_time in found for seen in of_time):
        assert torch.equal(seen.residual, torch.zeros_like(seen.residual))


@pytest.mark.parametrize(
    ("predict", "expected"), [(at_own_times, [12, 8]), (at_the_first, [2] * 10)]
)
def test_conditions_go_with_their_images(predict, expected):
    conditions = torch.linspace(-1, 1, 24, dtype=torch.float64)
    found, sizes = seen_by(predict, conditions=conditions)
    require_own_times(found, conditions)
    assert sizes[-len(expected) :] == expected


def test_a_network_is_asked_once():
    asked = []

    def predict(x_t, t):
        asked.append(len(x_t))
        return at_own_times(x_t, t)

    network, images = Network(predict, VPLinear(), NOISE), ImageSet(IMAGES, batch_size=12)
    for _ in range(3):
        list(observe(network, images, TIMES, Draws(0, "test"), members=FEW))
    assert asked == [2] * 5 + 3 * [12, 8]


def test_a_prediction_that_is_no_number_is_told_with_its_own_time():
    with refusal("network: NaN or infinity in the prediction at t=0.5"):
        seen_by(lambda x_t, t: at_own_times(x_t, t) / (t != TIMES[2])[:, None])


def test_portions_fill_a_batch_and_never_more():
    sizes = torch.tensor([5, 7, 1, 12, 3, 9])
    members = torch.arange(12) < sizes[:, None]
    images = ImageSet(IMAGES[:12], batch_size=12)
    together = list(filled((p, p.room) for p in portions(images, 6, members, None)))
    assert [[len(p) for p in some] for some in together] == [[5, 7], [1], [12], [3, 9]]
    assert [[p.time_index for p in some] for some in together] == [[0, 1], [2], [3], [4, 5]]


def test_portions_stand_side_by_side():
    images = ImageSet(IMAGES, batch_size=12)
    (some, *_) = filled((p, p.room) for p in portions(images, 5, FEW, None))
    assert [(p.time_index, here.start, here.stop) for p, here in side_by_side(some)] == [
        (0, 0, 2), (1, 2, 4), (2, 4, 6), (3, 6, 8), (4, 8, 10), (0, 10, 12),
    ]  # fmt: skip


def test_what_is_done_is_not_taken_again():
    images = ImageSet(IMAGES, batch_size=12)
    done = torch.tensor([24, 12, 15, 0, 23])
    left = [(p.time_index, p.positions.tolist()) for p in portions(images, 5, None, done)]
    assert left == [
        (3, list(range(12))),
        (1, list(range(12, 24))),
        (2, list(range(15, 24))),
        (3, list(range(12, 24))),
        (4, [23]),
    ]
