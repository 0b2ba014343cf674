"""The regression of a step onto the fine solution."""

import pytest
import torch

from tests.theory.sampling.gaussian_flow import SCHEDULE, TIMES
from theory.sampling.cells import CellWeights, kinds_for, partition
from theory.sampling.multistep import first_order, scales
from theory.sampling.trajectory_fit import fit_step, fold_products, ridge_weights

SHAPE = (2, 4, 4)
DRAWN = torch.Generator().manual_seed(0)
FEATURES = torch.randn(3, 64, 32, generator=DRAWN, dtype=torch.float64)
NOISE = torch.randn(64, 32, generator=DRAWN, dtype=torch.float64)


def test_what_is_no_combination_is_left_alone_or_nearly():
    fit = fit_step(FEATURES, NOISE, SHAPE)
    assert fit.after <= fit.before
    assert fit.after > 0.97 * fit.before


@pytest.mark.parametrize("kind", kinds_for(SHAPE))
def test_what_is_a_combination_is_found_whatever_its_cells(kind):
    cells = partition(kind, SHAPE)
    weights = torch.randn(2, cells.count, generator=DRAWN, dtype=torch.float64)
    target = CellWeights(cells, weights).apply([f.reshape(-1, *SHAPE) for f in FEATURES[:2]])
    fit = fit_step(FEATURES, target.flatten(1) + 0.01 * NOISE, SHAPE)
    assert fit.after < 2e-4 * fit.before
    if kind != "whole":  # which is a case of the others
        assert fit.added.cells.name == kind
    assert len(fit.added.weights) == 2


def test_the_error_that_is_told_is_that_of_left_out_starts():
    """On the starts that were fitted to, 64 starts and a weight for each pixel look better."""
    target = NOISE + 0.4 * FEATURES[1]
    fit = fit_step(FEATURES, target, SHAPE, kinds=("pixel",))
    own = target - fit.added.apply(list(FEATURES.reshape(3, -1, *SHAPE))).flatten(1)
    assert own.square().sum(1).mean() < fit.after


def test_a_strong_ridge_leaves_the_weights_of_all_cells_together():
    products = fold_products(
        partition("pixel", SHAPE), FEATURES, NOISE + 0.4 * FEATURES[1], torch.arange(64) % 4
    ).sum(0)
    (whole,) = ridge_weights(products.sum(-1, keepdim=True), 1e-6)
    assert torch.allclose(ridge_weights(products, 1e9), whole.expand(32, 3), atol=1e-6)
    assert (ridge_weights(products, 1e-6) - whole).abs().max() > 0.1


def test_scaled_noise_is_in_the_span():
    """Epsilon scaling: DDIM's step with its noise times c, at one number for all pixels."""
    solver, c = first_order(SCHEDULE, TIMES), 0.97
    (a, b), (s, r) = (x[:2].tolist() for x in scales(solver.log_snr))
    u, data = FEATURES[0], FEATURES[1]
    noise = c * (u - a * data) / s
    scaled = b * (u - s * noise) / a + r * noise
    step = solver.weights[0, 0] * u + solver.weights[0, 1] * data
    fit = fit_step(FEATURES[:2], scaled - step, SHAPE)
    assert fit.after < 1e-9 * fit.before


def test_a_shifted_time_is_in_the_span():
    """The step to another time than the solver's own is another pair of weights."""
    solver = first_order(SCHEDULE, TIMES)
    shifted = first_order(SCHEDULE, torch.cat([TIMES[:1], TIMES[1:] - 0.03]))
    difference = (shifted.weights - solver.weights)[0]
    target = difference[0] * FEATURES[0] + difference[1] * FEATURES[1]
    assert fit_step(FEATURES[:2], target, SHAPE).after < 1e-9 * target.square().sum(1).mean()


def test_what_is_added_is_fitted_to_all_starts():
    """Of one cell, which nothing shrinks: the least squares of every start."""
    target = NOISE + 0.4 * FEATURES[1]
    fit = fit_step(FEATURES[:2], target, SHAPE, kinds=("whole",))
    design = FEATURES[:2].flatten(1).T
    expected = torch.linalg.lstsq(design, target.flatten()[:, None]).solution
    assert torch.allclose(fit.added.weights, expected, rtol=1e-4, atol=1e-6)


def test_weights_that_are_the_same_in_all_cells_are_fitted_with_the_strongest_ridge():
    fit = fit_step(FEATURES, NOISE + 0.4 * FEATURES[1], SHAPE, kinds=("pixel",))
    fold = torch.arange(64) % 4
    products = fold_products(partition("pixel", SHAPE), FEATURES, NOISE + 0.4 * FEATURES[1], fold)
    kept = [*range(len(fit.added.weights)), 3]
    expected = ridge_weights(products.sum(0)[kept][:, kept], 1.0).T
    torch.testing.assert_close(fit.added.weights, expected)
