"""Moments that are led to known ones."""

import pytest
import torch

from tests.refusals import refusal
from tests.theory.sampling.gaussian_flow import DEVIATION, MEAN, SHAPE, images
from theory.sampling.cells import partition
from theory.sampling.data_law import DataLaw
from theory.sampling.marginal_fit import (
    KnownMoments,
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
