"""What slopes gain on a group of images that is left out, by fitting to the others from scratch."""

import torch

from tests.draws import normal
from theory.estimators.affine_sums import AffineSums
from theory.estimators.low_rank import features
from theory.estimators.slope_fit import SlopesEstimator, fit_slopes
from theory.estimators.slope_statistics import RIDGES, SlopeStatistics
from theory.forward.forward_pass import GROUPS, Observation
from theory.statistics.shrinkage import SHRUNK

ALPHA, SIGMA = 0.8, 0.6


def observed(shape, n):
    """An observation of n images, one draw each, of a prediction of another slope in each pixel."""
    d = torch.Size(shape).numel()
    x_0, noise, other = (normal(k, n, d).reshape(n, *shape) for k in range(3))
    own = torch.linspace(1, 3, d, dtype=torch.float64).reshape(shape)
    prediction = own * noise + 0.2 * x_0 + 0.1 * other + 1
    return Observation(
        0, torch.arange(n) % GROUPS, x_0, noise[None], prediction[None], 0.0, 1.0, ALPHA, SIGMA
    )


def statistics(seen, shape):
    sums = AffineSums(shape)
    sums.add_(seen)
    return SlopeStatistics.of(sums, sums.draws > 0, float(len(seen.x_0)), in_file=False)


def rows(seen):
    return [v.flatten(2)[0] for v in (seen.x_t, seen.prediction, seen.residual)]


def test_gains_of_slopes_are_those_of_fits_to_the_other_images():
    n, shape = 12, (1,)
    seen = observed(shape, n)
    _, gains = fit_slopes([statistics(seen, shape)], torch.zeros(1).double(), SHRUNK, 1)
    x, y, r = rows(seen)
    given = torch.cat([x, y], 1)
    for g in range(n):
        others = torch.arange(n) != g
        mean = given[others].mean(0)
        slopes = torch.linalg.lstsq(given[others] - mean, r[others] - r[others].mean(0)).solution
        corrected = (given[g] - mean) @ slopes
        gain = 2 * corrected * (r[g] - r.mean(0)) - corrected**2
        assert torch.allclose(gains[g], gain, rtol=1e-6)


def test_gains_of_low_rank_are_those_of_fits_to_the_other_images():
    """Fewer images than features: about the mean of all, one would follow from the others."""
    n, shape = 10, (1, 4, 4)
    seen = observed(shape, n)
    found = statistics(seen, shape).low_rank.gains
    x, y, r = rows(seen)
    f = features(shape, x, y)
    k = f.shape[1] // 2
    spread = [(v - v.mean(0)).square().mean() for v in (x, y)]
    unseen = torch.diag(torch.cat([s.expand(k) for s in spread])) / n
    for ridge, of_ridge in zip(RIDGES, found, strict=True):
        for g in range(n):
            others = torch.arange(n) != g
            mean, left = f[others].mean(0), r[others] - r[others].mean(0)
            centred = f[others] - mean
            square = centred.T @ centred / (n - 1)
            penalty = ridge * square.diag().diag() + unseen
            slopes = torch.linalg.solve(square + penalty, centred.T @ left / (n - 1))
            corrected = (f[g] - mean) @ slopes
            gain = (2 * corrected * (r[g] - r.mean(0)) - corrected**2).sum()
            assert torch.allclose(of_ridge[g], gain, rtol=1e-6)


def test_with_many_images_each_pixel_has_its_own_slopes():
    n, shape = 1600, (3,)
    seen = observed(shape, n)
    slopes, _ = fit_slopes([statistics(seen, shape)], torch.zeros(1).double(), SHRUNK, 1)
    x, y, r = rows(seen)
    assert slopes.kinds == ("pixel",)
    for pixel in range(3):
        given = torch.stack([x[:, pixel], y[:, pixel]], 1)
        own = torch.linalg.lstsq(given - given.mean(0), r[:, pixel : pixel + 1]).solution[:, 0]
        assert torch.allclose(slopes.pixel[0, :, pixel], own, atol=0.02)


def test_what_is_kept_for_the_fit_is_what_memory_is_planned_for():
    shape, d = (2, 4, 4), 32
    kept = statistics(observed(shape, 20), shape)
    arrays = (*kept.products.values(), *kept.deviations.values(), kept.low_rank.slopes)
    numbers = [torch.Size(a.shape).numel() for a in arrays if a.shape[-1] == d]
    assert SlopesEstimator().condensed_numbers(shape) == sum(numbers)
