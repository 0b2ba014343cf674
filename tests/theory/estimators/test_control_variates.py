"""Estimators on observations made by hand: what each unit keeps, and what the controls remove."""

import pytest
import torch

from tests.draws import normal
from theory.calibration.accumulator import Accumulator
from theory.estimators.control_variates import (
    NAMED,
    PLAIN,
    REGRESSION,
    RESIDUAL,
    shrunk_slope,
)
from theory.forward.forward_pass import GROUPS, Observation
from theory.forward.survey import MeanImage

N, SHAPE = 200, (2, 3)
ETA = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(SHAPE)


X_0, NOISE = normal(0, N, *SHAPE) + 3, normal(1, N, *SHAPE)


def observed(prediction, part=slice(None)):
    group = torch.arange(N) % GROUPS
    one_draw = NOISE[None, part], prediction[None, part]
    return Observation(0, group[part], X_0[part], *one_draw, 0.5, 1.0, 1.0, 1.0)


def moments(estimator, prediction, everyone=None):
    collector = estimator.collector(SHAPE)
    collector.add_(observed(prediction))
    return collector.moments(everyone)


LINEAR = ETA + 0.5 * X_0 + 0.8 * NOISE
"""Predicts y = 0.5 x_0 + e less a fifth of the noise, plus ETA."""

AFFINE = LINEAR + 0.3 * (X_0 - 3)
EVERYONE = MeanImage(torch.full(SHAPE, 3.0, dtype=torch.float64), 10**9)


def test_regression_removes_what_is_linear_in_the_noise():
    found = moments(REGRESSION, LINEAR)
    assert (found.mean - ETA).abs().max() < 1e-12
    assert abs(found.error_energy()) < 1e-12
    assert moments(RESIDUAL, LINEAR).error_energy() > 1e-4
    assert (moments(RESIDUAL, LINEAR).mean - ETA).abs().max() > 1e-3


def test_a_known_mean_image_removes_what_is_linear_in_the_image():
    found = moments(REGRESSION, AFFINE, EVERYONE)
    assert (found.mean - ETA).abs().max() < (moments(REGRESSION, AFFINE).mean - ETA).abs().max() / 5
    assert found.error_energy() < moments(REGRESSION, AFFINE).error_energy() / 50


def test_the_error_of_a_mean_image_of_few_is_counted():
    few = MeanImage(EVERYONE.mean, N)
    known, counted = (moments(REGRESSION, AFFINE, e).error_energy() for e in (EVERYONE, few))
    assert counted - known == pytest.approx(0.09 * 6 / N, rel=0.15)


def test_plain_and_residual_are_their_formulas():
    raw, residual = LINEAR - 0.5 * X_0, LINEAR - 0.5 * X_0 - NOISE
    assert torch.allclose(moments(PLAIN, LINEAR).mean, raw.mean(0))
    assert torch.allclose(moments(RESIDUAL, LINEAR).mean, residual.mean(0))
    assert not torch.allclose(moments(PLAIN, LINEAR).mean, residual.mean(0), atol=1e-3)


@pytest.mark.parametrize("name", NAMED)
def test_batches_do_not_matter(name):
    prediction = torch.tanh(LINEAR)
    whole, collector = moments(NAMED[name], prediction), NAMED[name].collector(SHAPE)
    for part in (slice(0, 7), slice(7, 90), slice(90, N)):
        collector.add_(observed(prediction, part))
    assert (collector.moments(None).mean - whole.mean).abs().max() < 1e-12
    assert collector.moments(None).error_energy() == pytest.approx(whole.error_energy(), rel=1e-9)


def test_too_few_images_use_no_controls():
    collector, residual = REGRESSION.collector(SHAPE), RESIDUAL.collector(SHAPE)
    for c in (collector, residual):
        c.add_(observed(LINEAR, slice(2)))
    assert torch.allclose(collector.moments(None).mean, residual.moments(None).mean)


def test_a_slope_is_kept_only_where_it_is_told_from_noise():
    def slope(covariance, control=1.0, response=1.0, count=100.0):
        values = (torch.tensor(v, dtype=torch.float64) for v in (covariance, control, response))
        return shrunk_slope(*values, torch.tensor(count, dtype=torch.float64)).item()

    assert slope(0.9) == pytest.approx(0.9, rel=0.01)
    assert slope(0.05) == 0
    assert slope(0.05, count=1e6) == pytest.approx(0.05, rel=0.01)
    assert (
        slope(0.0) == slope(0.5, control=0.0) == slope(0.5, response=0.0) == slope(1, count=2) == 0
    )
    assert slope(2.0, control=4.0) == pytest.approx(0.5, rel=1e-12)


def test_a_shrunk_slope_by_hand():
    """rho^2 = 1/2 of four images: half of the slope 1 is kept."""
    one = torch.ones(1, dtype=torch.float64)
    assert shrunk_slope(one, one, 2 * one, torch.tensor(4)).item() == pytest.approx(0.5)


def drawn(images, draws):
    """So many draws on each image, of which the network tells all but a fifth of the noise."""
    noise, x_0 = normal(2, draws, images, *SHAPE), X_0[:images]
    group = torch.arange(images) % GROUPS
    return Observation(0, group, x_0, noise, ETA + 0.5 * x_0 + 0.8 * noise, 0.5, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("draws", [1, 2, 4, 8])
def test_all_sums_are_there_before_anything_is_seen(name, draws):
    """So a killed run finds its own again, a process without images adds its own, memory is planned."""
    accumulator = Accumulator(EVERYONE, [(NAMED[name], draws)], ())
    before = {key: tensor.shape for key, tensor in accumulator.tensors().items()}
    accumulator.add_(drawn(8, draws))
    assert {key: tensor.shape for key, tensor in accumulator.tensors().items()} == before


@pytest.mark.parametrize("estimator", [RESIDUAL, REGRESSION], ids=lambda e: e.name)
def test_noise_is_told_apart_only_where_every_image_had_draws_enough(estimator):
    collector = estimator.collector(SHAPE)
    collector.add_(drawn(40, 4))
    assert collector.moments(None).contrast is not None
    collector.add_(drawn(3, 2))
    assert collector.moments(None).contrast is None


def test_the_contrast_of_the_regression_is_of_what_it_leaves():
    """The residual is a fifth of the noise: of its contrast the regression leaves nothing."""
    plain, regression = (e.collector(SHAPE) for e in (RESIDUAL, REGRESSION))
    seen = drawn(160, 4)
    for collector in (plain, regression):
        collector.add_(seen)
    by_hand = (-0.2 * seen.contrast(seen.noise)).square().flatten(1).sum(1)
    of_plain, left = (c.moments(None).contrast for c in (plain, regression))
    assert of_plain.square.sum().item() == pytest.approx(by_hand.sum().item())
    assert left.square.abs().max() < 1e-9 * of_plain.square.max()
    assert left.total.abs().max() < 1e-9 * of_plain.total.abs().max()
