"""Moments that are led to known ones."""

import math

import pytest
import torch

from tests.refusals import refusal
from tests.theory.sampling.gaussian_flow import DEVIATION, MEAN, SHAPE, images
from theory.sampling.cells import partition
from theory.sampling.data_law import DataLaw
from theory.sampling.marginal_fit import (
    KnownMoments,
    MomentMap,
    fit_moments,
    misfit,
    moment_errors,
    moment_map,
)

A, S = 0.8, 0.6
LAW = DataLaw.of(images(20_000).split(5000))


def positions(count, shift=0.0, factor=1.0, seed=3):
    """Samples of q_t, wrong by a shift and a factor about the mean."""
    drawn = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, *SHAPE, generator=drawn, dtype=torch.float64)
    u = A * images(count, seed + 1) + S * noise
    return A * MEAN + factor * (u - A * MEAN) + shift


def deviation():
    return (A**2 * DEVIATION**2 + S**2).sqrt()


def test_the_law_of_images_is_their_mean_and_variance():
    assert torch.allclose(LAW.mean, MEAN, atol=0.02)
    known = KnownMoments.of(LAW, partition("pixel", SHAPE), A, S)
    assert torch.allclose(known.variance.reshape(SHAPE), deviation() ** 2, rtol=0.03)


@pytest.mark.parametrize(("shift", "factor"), [(0.3, 1.0), (0.0, 1.2), (-0.2, 0.8)])
def test_wrong_moments_are_mended_on_other_samples(shift, factor):
    fit = fit_moments(positions(2000, shift, factor), LAW, A, S)
    mapped = fit.map.apply(positions(20_000, shift, factor, seed=9)).flatten(1)
    known = KnownMoments.of(LAW, partition("pixel", SHAPE), A, S)
    assert misfit(mapped, known) < 0.05 * misfit(positions(20_000, shift, factor).flatten(1), known)
    assert fit.after < 0.2 * fit.before


def test_right_moments_are_left_nearly_alone():
    fit = fit_moments(positions(200), LAW, A, S)
    if fit.map is not None:
        u = positions(500, seed=20)
        assert (fit.map.apply(u) - u).square().mean() < 0.01 * deviation().square().mean()


def test_the_mean_is_shrunk_by_what_is_noise():
    """From few samples of the right law next to nothing is left of the difference."""
    cells = partition("whole", SHAPE)
    known = KnownMoments.of(LAW, cells, A, S)
    moved = []
    for seed in range(30):
        flat = positions(20, seed=100 + seed).flatten(1)
        made = moment_map(flat, cells, known, 1.0)
        moved.append((made.offset.norm() / (known.mean - flat.mean(0)).norm()).item())
    assert sum(moved) / len(moved) < 0.4


def test_moment_errors_are_unbiased():
    """Zero in the mean where moments are right, |shift|^2 / v where the mean is off."""
    right = torch.stack([moment_errors(positions(64, seed=s), LAW, A, S).mean() for s in range(60)])
    assert abs(right.mean()) < 4 * right.std() / 60**0.5 + 0.02
    off = torch.stack(
        [moment_errors(positions(64, shift=0.5, seed=s), LAW, A, S).mean() for s in range(60)]
    )
    expected = (0.25 / deviation() ** 2).sum()
    assert abs(off.mean() - expected) < 4 * off.std() / 60**0.5 + 0.02 * expected


def test_moment_errors_know_of_the_noise_in_images():
    """Of 40 images the moments are off by much; held against the law of the images they are right."""
    errors = []
    for seed in range(100):
        law = DataLaw.of([images(40, 200 + seed)])
        errors.append(moment_errors(positions(64, seed=400 + 2 * seed), law, A, S).mean())
    found = torch.stack(errors)
    own_noise = len(LAW.mean.flatten()) * A**2 * (DEVIATION**2 / deviation() ** 2).mean() / 40
    assert abs(found.mean()) < 4 * found.std() / 100**0.5 < own_noise
    with refusal("images: expected 16 at least, got 9"):
        moment_errors(positions(64), DataLaw.of([images(9, 1)]), A, S)


def test_a_known_mean_correction_is_a_special_case():
    """The mean alone, no gain: what quantized samplers are corrected by."""
    cells = partition("whole", SHAPE)
    known = KnownMoments.of(LAW, cells, A, S)
    made = moment_map(positions(5000, shift=0.4).flatten(1), cells, known, 1.0)
    assert abs(made.gain.item() - 1) < 0.02
    u = positions(10, shift=0.4)
    assert (made.apply(u) - (u - 0.4)).abs().max() < 0.1


def by_hand(mean, variance, count):
    """Known moments of two coordinates."""
    return KnownMoments(*(torch.tensor(x, dtype=torch.float64) for x in (mean, variance)), count)


FLAT = torch.tensor(
    [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0], [2.0, 2.0]], dtype=torch.float64
)
"""Five samples of mean 2 and variance 4 in both of their coordinates."""


def test_misfit_of_two_coordinates_by_hand():
    """KL of normal laws: half of the sum of (m - mu)^2/v + r - 1 - log r, r = 4/v."""
    found = misfit(FLAT, by_hand([1.0, 2.0], [2.0, 4.0], 10**9))
    assert math.isclose(found, (1 / 2 + 2 - 1 - math.log(2)) / 2)


def test_a_map_of_two_coordinates_by_hand():
    """To mean (5, 2) and variance (9, 9) of 45 images, shrunk by the noise of 5 samples and theirs."""
    cells, known = partition("whole", (1, 1, 2)), by_hand([5.0, 2.0], [9.0, 9.0], 45)
    made = moment_map(FLAT, cells, known, 1.0)
    of_mean = 1 - 2 * (4 / 5 + 9 / 45) / 9
    log_gain = math.log(9 / 4) / 2
    effective = (4 + 4) ** 2 / (4**2 + 4**2)
    of_gain = 1 - (1 / 5 + 1 / 45) / (2 * effective) / log_gain**2
    assert torch.allclose(made.centre, torch.tensor([2.0, 2.0]).double())
    assert torch.allclose(made.offset, torch.tensor([3 * of_mean, 0.0]).double())
    assert math.isclose(made.gain.item(), math.exp(of_gain * log_gain))
    half = moment_map(FLAT, cells, known, 0.5)
    assert torch.allclose(half.offset, made.offset / 2)
    assert math.isclose(half.gain.item() ** 2, made.gain.item())


def test_cells_of_unequal_variance_count_for_fewer():
    """(sum v)^2 / sum v^2 of the variances 4 and 12: 1.6 of 2."""
    wide = FLAT * torch.tensor([1.0, 3**0.5], dtype=torch.float64)
    made = moment_map(
        wide, partition("whole", (1, 1, 2)), by_hand([9.0, 9.0], [16.0, 48.0], 10**12), 1.0
    )
    of_gain = 1 - (1 / 5) / (2 * 1.6) / math.log(2) ** 2
    assert math.isclose(made.gain.item(), 2**of_gain, rel_tol=1e-9)


def test_no_variance_is_changed_more_than_four_times():
    known = by_hand([2.0, 2.0], [1e6, 1e6], 10**12)
    made = moment_map(FLAT, partition("whole", (1, 1, 2)), known, 1.0)
    assert made.gain.item() == pytest.approx(2.0)


def test_maps_act_in_the_coordinates_of_their_partition():
    """On frequencies the gain of the mean alone leaves every difference as it is."""
    cells = partition("octave", SHAPE)
    gain = torch.ones(cells.count).double()
    gain[0] = 3.0
    nothing = torch.zeros(16).double()
    u = positions(4)
    mapped = MomentMap(cells, gain, nothing, nothing).apply(u)
    means = u.mean((2, 3), keepdim=True)
    assert torch.allclose(mapped, u + 2 * means)


def test_known_moments_by_hand():
    """a m and a^2 v + s^2 of images of mean 2 and variance 4."""
    law = DataLaw.of([FLAT.reshape(5, 1, 1, 2)])
    known = KnownMoments.of(law, partition("pixel", (1, 1, 2)), 0.5, 3.0)
    assert known.mean.tolist() == [1.0, 1.0]
    assert known.variance.tolist() == [10.0, 10.0]
    assert known.count == 5


def test_moment_errors_of_one_pixel_by_hand():
    """Groups whose means are off by 1 and variances by 3, where a^2 v + s^2 is 1: 1 + 9/2 of each."""
    images = torch.zeros(16, 1, 1, 1, dtype=torch.float64)
    u = torch.tensor([1.0 - 2**0.5, 1.0 + 2**0.5]).double().repeat_interleave(8)
    errors = moment_errors(u.reshape(16, 1, 1, 1), DataLaw.of([images]), 0.8, 1.0)
    assert torch.allclose(errors, torch.full((8,), 1 + 3**2 / 2).double())
    u[::8] += 70.0  # the first group's mean alone: it enters others' errors, its own not squared
    errors = moment_errors(u.reshape(16, 1, 1, 1), DataLaw.of([images]), 0.8, 1.0)
    assert torch.allclose(errors[0], torch.tensor(71.0 + 9 / 2).double())
    assert torch.allclose(errors[1], torch.tensor((71.0 + 6) / 7 + 9 / 2).double())


def test_a_map_is_judged_on_the_samples_that_it_was_not_made_of():
    """Four folds, a gain for each frequency at half and at full strength: the misfit of what is left out."""
    u, cells = positions(48, shift=0.8, factor=1.3).flatten(1), partition("frequency", SHAPE)
    known, fold, found = KnownMoments.of(LAW, cells, A, S), torch.arange(48) % 4, []
    for strength in (0.5, 1.0):
        made = [moment_map(u[fold != k], cells, known, strength) for k in range(4)]
        left = [cells.coordinates(made[k].apply(u[fold == k])) for k in range(4)]
        found.append(sum(misfit(values, known) for values in left) / 4)
    fit = fit_moments(u.reshape(48, *SHAPE), LAW, A, S, ("frequency",))
    assert fit.after == pytest.approx(min(found))
    assert fit.after < fit.before
