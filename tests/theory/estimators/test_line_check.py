"""A network is held against the best line in x_t: right ones pass, wrong descriptions do not."""

import pytest
import torch

from tests.theory.known_pixels import SCHEDULE, TIMES, KnownPixels, images
from theory.calibration import calibrate, validate
from theory.diffusion.schedules import VPCosine
from theory.diffusion.targets import DATA, NOISE, VELOCITY
from theory.estimators.line_check import (
    LineComparison,
    LineSums,
    as_tensor,
    from_tensor,
)
from theory.forward.forward_pass import GROUPS, Observation
from theory.support.errors import InputError

IMAGES, DRAWS, SHAPE = 12, 2, (1, 3, 4)
A, B, ALPHA, SIGMA = 0.3, 0.8, 0.7, 0.6


def observed(seed=0):
    generator = torch.Generator().manual_seed(seed)
    x_0 = torch.randn(IMAGES, *SHAPE, generator=generator, dtype=torch.float64) + 0.5
    noise = torch.randn(DRAWS, IMAGES, *SHAPE, generator=generator, dtype=torch.float64)
    y = 0.9 * (A * x_0 + B * noise) + 0.1
    return Observation(0, torch.arange(IMAGES) % GROUPS, x_0, noise, y, A, B, ALPHA, SIGMA)


def test_the_sums_are_those_of_every_draw():
    seen = observed()
    mean = seen.x_0.mean(0)
    sums = LineSums(mean)
    sums.add_(seen)
    found = sums.comparison()
    y = (A * (seen.x_0 - mean) + B * seen.noise).flatten(2)
    x = (ALPHA * (seen.x_0 - mean) + SIGMA * seen.noise).flatten(2)
    beta = (x * y).sum() / (x * x).sum()
    line = (y - beta * x).square().sum(2).mean(0)
    network = seen.error.flatten(2).square().sum(2).mean(0)
    assert found.line == pytest.approx(line.mean().item())
    assert found.network == pytest.approx(network.mean().item())
    assert found.variance == pytest.approx(y.square().sum(2).mean().item())
    expected = (network - line).std().item() / IMAGES**0.5
    assert found.standard_error == pytest.approx(expected)
    assert found.images == IMAGES
    data = (seen.x_0 - mean).flatten(1).square().sum(1).mean().item()
    assert found.data_variance == pytest.approx(data)


def test_no_other_line_is_better():
    seen = observed()
    mean = seen.x_0.mean(0)
    sums = LineSums(mean)
    sums.add_(seen)
    y, x = A * (seen.x_0 - mean) + B * seen.noise, ALPHA * (seen.x_0 - mean) + SIGMA * seen.noise
    for slope in (0.0, 0.5, 1.0, 1.5):
        other = (y - slope * x).flatten(2).square().sum(2).mean().item()
        assert sums.comparison().line <= other + 1e-12


def made(network, schedule=SCHEDULE, target=NOISE, x_0=None):
    x_0 = images(40) if x_0 is None else x_0
    return calibrate(network, schedule, target=target, images=x_0, times=TIMES)


def right(target=NOISE):
    return KnownPixels(lambda t, x_0: 0 * x_0, target)


def test_right_networks_are_not_warned_against():
    for target in (NOISE, VELOCITY, DATA):
        assert made(right(target), target=target).warning() is None, target


def test_wrong_descriptions_are():
    wrong = {
        "target": made(right(VELOCITY), target=NOISE),
        "other target": made(right(NOISE), target=DATA),
        "sign": made(lambda x_t, t: -right()(x_t, t)),
        "no network": made(lambda x_t, t: 3 + 0 * x_t),
        "schedule": made(right(), schedule=VPCosine()),
    }
    for name, calibration in wrong.items():
        assert "does not fit its description" in calibration.warning(), name
        assert calibration.warning() in calibration.summary()["warning"], name


def test_validation_sees_it_for_itself():
    calibration = made(right())
    images_here = images(20, first=200)
    assert validate(right(), calibration, images=images_here).warning() is None
    found = validate(lambda x_t, t: -right()(x_t, t), calibration, images=images_here)
    assert "does not fit" in found.warning()


def comparison(excess, error=1e-6):
    return LineComparison(1.0 + excess, 1.0, 1.0, 1.0, error, 100)


def test_comparisons_survive_a_file_and_broken_ones_are_refused():
    both = (comparison(0.1), comparison(0.2))
    assert from_tensor(as_tensor(both)) == both
    for broken in (as_tensor(both)[:, :5], as_tensor(both) * torch.nan, as_tensor(both).float()):
        with pytest.raises(InputError, match="line_check"):
            from_tensor(broken)
