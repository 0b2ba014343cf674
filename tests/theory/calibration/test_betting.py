"""Exact certificates and the betting test, on a network whose posterior mean is known."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.edited import with_shift
from tests.refusals import refusal
from theory.calibration import calibrate
from theory.calibration.exact import exact_certificate
from theory.calibration.miscalibration import betting_test
from theory.diffusion.likelihood_bound import gain_weights
from theory.diffusion.schedules import VPCosine
from theory.diffusion.targets import DATA, NOISE, VELOCITY
from theory.forward.clipping import clipped_data
from theory.forward.keyed_noise import keyed_noise
from theory.forward.network import Network
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


def made(bias, order=0, target=DATA, n=200):
    return calibrate(
        network(bias, target), SCHEDULE, target=target, images=images(n), times=TIMES, order=order
    )


@pytest.mark.parametrize("target", [DATA, NOISE, VELOCITY], ids=repr)
def test_a_gain_is_certified_exactly_where_there_is_one(target):
    """A bias b of every pixel: the gain of taking it off is d b^2."""
    calibration = made(0.2, target=target)
    found = exact_certificate(network(0.2, target), calibration, images=images(400, first=1000))
    gain = 20 * 0.2**2
    assert found.units == 400
    assert all(0 < bound < 1.05 * gain for bound in found.times)
    weights = gain_weights(SCHEDULE, DATA, calibration.times)
    assert 0 < found.total < 1.05 * gain * weights.sum().item()
    assert found.total < found.mean


def test_nothing_is_certified_where_there_is_none():
    wrong = with_shift(made(0.2), torch.full((3, *SHAPE), 0.2, dtype=torch.float64))
    found = exact_certificate(network(), wrong, images=images(400, first=1000))
    assert found.total < 0 and max(found.times) < 0
    assert found.mean < 0


def test_of_few_images_nothing_is_certain():
    calibration = made(0.2)
    few = exact_certificate(network(0.2), calibration, images=images(4, first=1000))
    assert few.total < 0
    seen = exact_certificate(network(0.2), calibration, images=images(205))
    assert seen.units == 5, "those that it was made from are left out"
    copies = images(6, first=1000).repeat(3, 1, 1, 1)
    assert exact_certificate(network(0.2), calibration, images=copies).units == 6
    films = [k // 2 for k in range(18)]
    assert exact_certificate(network(0.2), calibration, images=copies, groups=films).units == 3


@given(st.floats(-3, 3), st.integers(0, 5))
def test_no_image_gains_less_than_the_floor(shift, seed):
    calibration = with_shift(made(0.2, n=20), torch.full((3, *SHAPE), shift, dtype=torch.float64))
    found = exact_certificate(network(0.2), calibration, images=images(4, first=1000), seed=seed)
    x_0 = images(4, first=1000)
    x_t = x_0 + keyed_noise(seed, "x", 0, 0, torch.arange(4), SHAPE)
    t = calibration.times[:1]
    y = network(0.2)(x_t, t.expand(4))
    described = Network(network(), SCHEDULE, DATA)
    before, after = (
        (clipped_data(described, value, x_t, t, (-1.0, 1.0)) - x_0).square().flatten(1).sum(1)
        for value in (y, y - shift)
    )
    assert (before - after).min() >= found.floors[0] - 1e-9
    assert found.floors[0] == pytest.approx(-4 * 20 * min(2.0, abs(shift)))


def test_slopes_are_only_known_to_stay_in_the_range():
    free = lambda x_t, t: 1.5 * network()(x_t, t)  # noqa: E731
    calibration = calibrate(
        free, SCHEDULE, target=DATA, images=images(400), times=TIMES, order=1
    )  # fmt: skip
    applied = calibration.slopes.applied.tolist()
    assert sum(applied) == 2
    found = exact_certificate(free, calibration, images=images(400, first=1000))
    assert all(
        (floor == -4 * 20 * 2) == free for floor, free in zip(found.floors, applied, strict=True)
    )


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


def test_images_outside_the_range_are_refused():
    for run in (
        lambda: betting_test(network(), SCHEDULE, target=DATA, images=3 * images(9), times=TIMES),
        lambda: exact_certificate(network(), made(0.2), images=3 * images(9, first=500)),
    ):
        with refusal(r"range: expected images in \[-1, 1\], got -1.5 to 1.5"):
            run()


def test_the_more_times_the_more_must_be_won_at_each():
    """Bonferroni: the same time, alone and among three, on the same noise."""
    alone, among = [0.6], [0.6, 0.4, 0.8]
    known = [
        betting_test(network(0.2), SCHEDULE, target=DATA, images=images(600), times=times).times[0]
        for times in (alone, among)
    ]
    assert known[0].known_after < known[1].known_after
    shifted = [
        with_shift(
            calibrate(network(0.2), SCHEDULE, target=DATA, images=images(20), times=times),
            torch.full((len(times), *SHAPE), 0.2, dtype=torch.float64),
        )
        for times in (alone, among)
    ]
    bounds = [
        exact_certificate(network(0.2), made_at, images=images(100, first=500)).times[0]
        for made_at in shifted
    ]
    assert bounds[0] > bounds[1]
