"""The betting test, on a network whose posterior mean is known."""

import math

import pytest
import torch

from tests.refusals import refusal
from theory.calibration.miscalibration import betting_test
from theory.diffusion.schedules import VPCosine
from theory.diffusion.targets import DATA, NOISE, SCORE, VELOCITY
from theory.forward.fingerprints import image_ids
from theory.forward.keyed_noise import keyed_noise
from theory.statistics.mean_zero_test import MeanZeroTest
from theory.support.broadcasting import along_batch

SCHEDULE, SHAPE, TIMES = VPCosine(), (1, 4, 5), [0.4, 0.6, 0.8]


def images(n, first=0):
    """Pixels -1/2 or 1/2 with even odds."""
    noise = keyed_noise(0, "pixels", 0, 0, torch.arange(first, first + n), SHAPE)
    return torch.where(noise > 0, 0.5, -0.5).double()


def network(bias=0.0, target=DATA):
    """The posterior mean tanh(alpha x_t / (2 sigma^2)) / 2, plus a bias of the predicted x_0."""

    def predict(x_t, t, condition=None):
        alpha, sigma = (along_batch(f(t), x_t) for f in (SCHEDULE.alpha, SCHEDULE.sigma))
        x_0 = torch.tanh(alpha * x_t / (2 * sigma**2)) / 2 + bias
        return target.value(SCHEDULE, t, x_0, (x_t - alpha * x_0) / sigma)

    return predict


def test_a_miscalibrated_network_is_known_early_and_a_right_one_is_not():
    found = betting_test(network(0.2), SCHEDULE, target=DATA, images=images(4000), times=TIMES)
    assert found.miscalibrated == 3
    assert found.images < 1000, "it stops when it knows"
    for k, verdict in enumerate(found.times):
        assert verdict.known_after <= found.images and verdict.e_value >= 60
        assert verdict.t == TIMES[k]
    right = betting_test(network(), SCHEDULE, target=DATA, images=images(1000), times=TIMES)
    assert right.miscalibrated == 0
    assert right.images == 1000


def wrong_late(x_t, t):
    """Wrong at the last of the times alone."""
    return network(0.2 if t[0] == TIMES[-1] else 0.0)(x_t, t)


@pytest.mark.parametrize("size", [10, 64])
def test_it_stops_after_the_batch_at_which_every_time_is_known(size):
    found = betting_test(
        network(0.2), SCHEDULE, target=DATA, images=images(600), times=TIMES, batch_size=size
    )
    latest = max(verdict.known_after for verdict in found.times)
    assert found.images == math.ceil(latest / size) * size < 600


def test_it_goes_on_while_one_time_is_not_known():
    found = betting_test(
        wrong_late, SCHEDULE, target=DATA, images=images(600), times=TIMES, batch_size=50
    )
    assert [verdict.known_after is None for verdict in found.times] == [True, True, False]
    assert found.times[-1].known_after < 500
    assert found.images == 600


def test_a_right_network_is_seldom_called_wrong():
    """40 runs at 5 %: more than 12 fail with probability 1e-7."""
    wrong = sum(
        betting_test(
            network(), SCHEDULE, target=DATA, images=images(100, first=1000 * k), times=TIMES, seed=k
        ).miscalibrated > 0
        for k in range(40)
    )  # fmt: skip
    assert wrong <= 12


def test_batches_and_copies_do_not_matter_to_the_test():
    few = images(60)
    one, other = (
        betting_test(network(0.1), SCHEDULE, target=DATA, images=few, times=TIMES, batch_size=size)
        for size in (60, 7)
    )
    assert [v.e_value for v in one.times] == pytest.approx([v.e_value for v in other.times])
    twice = torch.cat([few, few])
    assert betting_test(network(), SCHEDULE, target=DATA, images=twice, times=TIMES).images == 60


def test_an_e_value_is_the_wealth_at_the_end_and_not_its_largest():
    """At the end of a run the mean of an e-value is 1 at most; the largest wealth has a larger mean."""
    runs = [
        betting_test(
            network(), SCHEDULE, target=DATA, images=images(20, first=100 * k), times=TIMES[:1], seed=k
        )
        for k in range(60)
    ]  # fmt: skip
    values = torch.tensor([run.times[0].e_value for run in runs])
    assert (values < 1).any()
    assert values.mean() < 1 + 5 * values.std() / len(values) ** 0.5


@pytest.mark.parametrize(("least", "most"), [(-1.0, 1.0), (-0.5, 0.5), (-0.6, 3.0)])
def test_bets_reach_as_far_as_the_range_is_wide(least, most):
    """By hand: predictions clipped to the range, and bets on residuals within its width."""
    x_0, t = images(12), torch.tensor([0.6], dtype=torch.float64)
    noise = keyed_noise(5, "test", 0, 0, image_ids(x_0), SHAPE)
    x_t = SCHEDULE.alpha(t) * x_0 + SCHEDULE.sigma(t) * noise
    residuals = network(0.2)(x_t, t).clamp(least, most) - x_0
    by_hand = MeanZeroTest(most - least, 20.0)
    by_hand.add_(residuals)
    found = betting_test(
        network(0.2),
        SCHEDULE,
        target=DATA,
        images=x_0,
        times=[0.6],
        data_range=(least, most),
        seed=5,
    )
    assert found.times[0].e_value == pytest.approx(by_hand.e_value, rel=1e-9)
    assert by_hand.e_value != pytest.approx(1)


@pytest.mark.parametrize("target", [NOISE, VELOCITY, SCORE], ids=repr)
def test_bets_are_on_predicted_images_whatever_the_target(target):
    """A step of x_0 is another one of the prediction at every time; what is bet on is x_0."""
    values = [
        [
            verdict.e_value
            for verdict in betting_test(
                network(0.05, of), SCHEDULE, target=of, images=images(30), times=TIMES
            ).times
        ]
        for of in (DATA, target)
    ]
    assert values[1] == pytest.approx(values[0], rel=1e-6)


def test_images_outside_the_range_are_refused():
    with refusal(r"range: expected images from -1 to 1, got -1.5 to 1.5"):
        betting_test(network(), SCHEDULE, target=DATA, images=3 * images(9), times=TIMES)


def test_the_more_times_the_more_must_be_won_at_each():
    """Bonferroni: the same time, alone and among three, on the same noise."""
    known = [
        betting_test(network(0.2), SCHEDULE, target=DATA, images=images(600), times=times).times[0]
        for times in ([0.6], [0.6, 0.4, 0.8])
    ]
    assert known[0].known_after < known[1].known_after
