"""Held-out proof: gains as by hand, images that were seen left out, nats whatever the target."""

import math
from dataclasses import replace

import pytest
import torch

from tests.edited import with_shift
from tests.theory.known_pixels import (
    BIAS,
    SCHEDULE,
    SHAPE,
    TIMES,
    KnownPixels,
    images,
    imperfect,
)
from theory.calibration.procedure import calibrate
from theory.calibration.validation import validate
from theory.diffusion.likelihood_bound import gain_weights
from theory.diffusion.targets import NOISE, SCORE, VELOCITY, shift_factor
from theory.forward.fingerprints import image_ids
from theory.forward.forward_pass import GROUPS
from theory.forward.keyed_noise import keyed_noise
from theory.statistics.intervals import LEVEL, Estimate
from theory.statistics.moments import Moments
from theory.statistics.shrinkage import UNSHRUNK
from theory.support.broadcasting import along_batch
from theory.support.errors import InputError, NonFiniteError

DRAWS = 3
MADE_FROM = images(10) / 50
HELD_OUT = images(8, first=100) / 50


def made(network=imperfect, x_0=MADE_FROM, **options):
    return calibrate(
        network, SCHEDULE, images=x_0, times=TIMES, policy=UNSHRUNK, **{"order": 0} | options
    )


def residuals_by_hand(k, x_0, seed=0):
    """y_theta - e for every draw of the validation's noise, (draws, n, *shape)."""
    t = torch.tensor(TIMES[k], dtype=torch.float64)
    draws = []
    for draw in range(DRAWS):
        pair = keyed_noise(seed, "validate", k, draw // 2, image_ids(x_0), SHAPE)
        e = -pair if draw % 2 else pair
        x_t = SCHEDULE.alpha(t) * x_0 + SCHEDULE.sigma(t) * e
        draws.append(imperfect(x_t, t.expand(len(x_0))) - e)
    return torch.stack(draws)


def squares(vectors):
    """|.|^2 per image, mean over draws."""
    return vectors.square().flatten(2).sum(2).mean(0)


def gain_error(validation, shifted):
    """Largest difference from |r|^2 - |shifted r|^2, over images and times."""
    shifts = validation.calibration.shift
    by_hand = [
        squares(r) - squares(shifted(r, shift))
        for r, shift in zip(map(residuals_by_hand, range(3), [HELD_OUT] * 3), shifts, strict=True)
    ]
    return (validation.gains - torch.stack(by_hand, 1)).abs().max().item()


def test_losses_and_gains_are_those_by_hand():
    validation = validate(imperfect, made(), images=HELD_OUT, draws=DRAWS)
    losses = torch.stack([squares(residuals_by_hand(k, HELD_OUT)) for k in range(3)], 1)
    assert (validation.losses - losses).abs().max() < 1e-11
    assert gain_error(validation, lambda r, shift: r - shift) < 1e-11


def test_mistaken_gains_are_told_apart():
    validation = validate(imperfect, made(), images=HELD_OUT, draws=DRAWS)
    assert gain_error(validation, lambda r, shift: r + shift) > 0.1
    assert gain_error(validation, lambda r, shift: r - shift / 2) > 0.1
    other_seed = validate(imperfect, made(), images=HELD_OUT, draws=DRAWS, seed=1)
    assert gain_error(other_seed, lambda r, shift: r - shift) > 0.1


def test_loss_and_gain_are_means_over_images():
    validation = validate(imperfect, made(), images=HELD_OUT, draws=DRAWS)
    assert validation.loss() == [Estimate.of_mean(column) for column in validation.losses.T]
    assert validation.gain() == [Estimate.of_mean(column) for column in validation.gains.T]
    assert validation.loss() != validation.gain()


@pytest.mark.parametrize("size", [1, 3, 100])
def test_batches_do_not_matter(size):
    calibration, mixed = made(), torch.cat([MADE_FROM[:2], HELD_OUT, MADE_FROM[5:]])
    whole = validate(imperfect, calibration, images=mixed)
    split = validate(imperfect, calibration, images=mixed, batch_size=size)
    iterated = validate(imperfect, calibration, images=iter(mixed.split(size)))
    for other in (split, iterated):
        assert (other.gains - whole.gains).abs().max() < 1e-12
        assert other.left_out == whole.left_out == 7


def test_images_that_the_calibration_has_seen_are_left_out():
    calibration = made()
    mixed = torch.cat([HELD_OUT[:3], MADE_FROM[:4], HELD_OUT[3:]])
    with_seen = validate(imperfect, calibration, images=mixed)
    without = validate(imperfect, calibration, images=HELD_OUT)
    assert (with_seen.left_out, with_seen.n) == (4, 8)
    assert (without.left_out, without.n) == (0, 8)
    assert torch.equal(with_seen.gains, without.gains)


def test_images_of_another_calibration_are_not():
    validation = validate(imperfect, made(x_0=HELD_OUT), images=MADE_FROM)
    assert (validation.left_out, validation.n) == (0, 10)


@pytest.mark.parametrize(
    ("shown", "kept"), [(MADE_FROM, 0), (torch.cat([MADE_FROM, HELD_OUT[:1]]), 1)]
)
def test_too_few_unseen_images_are_refused(shown, kept):
    message = rf"at least two that the calibration has not seen, got {kept} \(10 were used"
    with pytest.raises(InputError, match=message):
        validate(imperfect, made(), images=shown)
    assert validate(imperfect, made(), images=torch.cat([shown, HELD_OUT[-2:]])).n == kept + 2


def test_images_of_another_shape_are_refused():
    with pytest.raises(InputError, match=r"expected shape \(1, 3, 4\), got \(1, 4, 3\)"):
        validate(imperfect, made(), images=HELD_OUT.reshape(-1, 1, 4, 3))


def test_a_network_that_fails_is_refused():
    with pytest.raises(NonFiniteError, match=r"at t=0\.5$"):
        validate(lambda x_t, t: x_t / 0, made(), images=HELD_OUT)


def noise_seen(measure_with):
    """Every noised pixel that a network was shown, less the image's part."""
    shown = []

    def network(x_t, t):
        shown.append((x_t - along_batch(SCHEDULE.alpha(t), x_t) * HELD_OUT) / SCHEDULE.sigma(t[0]))
        return x_t

    measure_with(network)
    return torch.cat(shown).flatten()


def shared(one, other):
    return bool(((one[:, None] - other[None]).abs() < 1e-12).any())


def test_the_noise_is_not_the_calibrations_even_with_its_seed():
    calibrating = noise_seen(lambda network: made(network, HELD_OUT, seed=3))
    validating = noise_seen(
        lambda network: validate(network, made(seed=3), images=HELD_OUT, seed=3)
    )
    again = noise_seen(lambda network: made(network, HELD_OUT, seed=3, draws=2))
    assert not shared(calibrating, validating)
    assert shared(calibrating, again)


def biased_in(target):
    """A network of that target whose error, in noise form, is BIAS at every time."""

    def bias(t, x_0):
        return along_batch(shift_factor(t, NOISE, target, SCHEDULE), x_0) * BIAS

    return KnownPixels(bias, target)


def scaled(calibration, c):
    return with_shift(calibration, c * calibration.shift)


def log_snr_range():
    log_snr = SCHEDULE.log_snr(torch.tensor(TIMES, dtype=torch.float64))
    return (log_snr.max() - log_snr.min()).item()


@pytest.mark.parametrize("target", [NOISE, VELOCITY, SCORE], ids=repr)
@pytest.mark.parametrize("c", [1.0, 0.5, 3.0])
def test_the_fall_of_the_bound_is_the_same_in_nats_for_every_target(target, c):
    network = biased_in(target)
    calibration = scaled(made(network, images(10), target=target), c)
    nats = validate(network, calibration, images=images(8, first=100)).bound_gain()
    exact = (2 * c - c**2) * BIAS.square().sum().item() * log_snr_range() / 2
    assert (nats.value, nats.lower, nats.upper) == pytest.approx((exact,) * 3, rel=1e-8)


def test_gains_of_a_velocity_are_not_nats_until_they_are_converted():
    network = biased_in(VELOCITY)
    calibration = made(network, images(10), target=VELOCITY)
    validation = validate(network, calibration, images=images(8, first=100))
    mistaken = replace(validation, calibration=replace(calibration, target=NOISE))
    assert mistaken.bound_gain().value != pytest.approx(validation.bound_gain().value, rel=1e-2)


def test_the_size_of_the_bias_is_estimated_without_the_calibration():
    network = KnownPixels()
    unrelated = scaled(made(network, images(10)), -5.0)
    validation = validate(network, unrelated, images=images(8, first=100))
    exact = BIAS.square().sum().item()
    assert [e.value for e in validation.eta_sq] == pytest.approx([exact] * 3, rel=1e-9)
    assert all(e.value < -exact for e in validation.gain())


def test_one_network_evaluation_per_image_time_and_draw():
    evaluations = []
    validate(imperfect, made(), images=HELD_OUT, draws=DRAWS, on_progress=evaluations.append)
    assert math.fsum(evaluations) == len(HELD_OUT) * len(TIMES) * DRAWS


def test_gains_at_once_share_one_level_over_the_times():
    """Bonferroni: each at 1 - 0.05 / T, wider than each by itself."""
    validation = validate(imperfect, made(), images=HELD_OUT)
    level = 1 - (1 - LEVEL) / len(TIMES)
    at_once = [Estimate.of_mean(gain, validation.units, level) for gain in validation.gains.T]
    assert validation.gain_at_once() == at_once
    assert all(
        whole.lower < single.lower
        for whole, single in zip(at_once, validation.gain(), strict=True)
        if single.lower < single.value
    )
    assert at_once != validation.gain()


def test_every_interval_is_of_units_and_not_of_images():
    """Eight images in three groups, a calibration with slopes: each number from its own column."""
    groups = [0, 1, 2, 2, 2, 1, 1, 0]
    found = validate(imperfect, made(order=1), images=HELD_OUT, draws=DRAWS, groups=groups)
    c, units = found.calibration, found.units
    nats = gain_weights(c.schedule, c.target, c.times)
    level = 1 - (1 - LEVEL) / len(TIMES)
    assert found.loss() == [Estimate.of_mean(x, units) for x in found.losses.T]
    assert found.gain() == [Estimate.of_mean(x, units) for x in found.gains.T]
    assert found.gain_at_once() == [Estimate.of_mean(x, units, level) for x in found.gains.T]
    assert found.bound_gain() == Estimate.of_mean(found.gains @ nats, units)
    assert found.shift_bound_gain() == Estimate.of_mean(found.shift_gains @ nats, units)
    assert found.shift_bound_gain() != found.bound_gain()
    assert found.bound_gain() != Estimate.of_mean(found.gains @ nats)
    clipping = torch.outer(torch.arange(8).double(), torch.ones(3).double())
    of_clipping = replace(found, clipping_gains=clipping).clipping_bound_gain()
    assert of_clipping == Estimate.of_mean(clipping @ nats, units)


@pytest.mark.parametrize("together", [False, True])
def test_the_size_of_the_bias_has_the_interval_of_units_that_are_dealt_out(together):
    """By hand: the mean residual of each image, its unit in one group."""
    groups = torch.arange(8) // 2 if together else None
    found = validate(imperfect, made(), images=HELD_OUT, draws=DRAWS, groups=groups)
    for k, size in enumerate(found.eta_sq):
        by_hand = Moments.empty(SHAPE, GROUPS)
        by_hand.add_(found.units % GROUPS, residuals_by_hand(k, HELD_OUT).mean(0))
        expected = replace(by_hand, clustered=together).squared_norm()
        ends = (expected.value, expected.lower, expected.upper)
        assert (size.value, size.lower, size.upper) == pytest.approx(ends, rel=1e-9)
