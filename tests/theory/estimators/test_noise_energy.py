"""Noise energies on Gaussian data, where they have a closed form."""

import pytest
import torch

from theory.calibration.procedure import calibrate
from theory.diffusion.schedules import VPLinear
from theory.diffusion.targets import DATA, NOISE, VELOCITY
from theory.estimators.noise_energy import _energy
from theory.forward.forward_pass import GROUPS
from theory.forward.images import ImageSet
from theory.forward.keyed_noise import keyed_noise
from theory.forward.survey import survey
from theory.statistics.least_squares import XX, XY, YY
from theory.support.broadcasting import along_batch

SHAPE, MEAN, DEVIATION = (1, 4, 4), 0.3, 0.5
IMAGES = MEAN + DEVIATION * keyed_noise(0, "images", 0, 0, torch.arange(800), SHAPE)
TIMES = [0.1, 0.4, 0.8]


def energy_of(schedule, t):
    """E|E[e|x_t]|^2 / d = sigma^2/c."""
    alpha, sigma = (f(torch.tensor(t).double()) for f in (schedule.alpha, schedule.sigma))
    return sigma**2 / (alpha**2 * DEVIATION**2 + sigma**2)


def network(schedule, target, factor=1.0):
    """The exact noise prediction times a factor, as another target."""

    def predict(x_t, t, condition=None):
        alpha, sigma = (along_batch(f(t), x_t) for f in (schedule.alpha, schedule.sigma))
        c = alpha**2 * DEVIATION**2 + sigma**2
        e = factor * sigma * (x_t - alpha * MEAN) / c
        return target.value(schedule, t, (x_t - sigma * e) / alpha, e)

    return predict


@pytest.mark.parametrize("target", [NOISE, DATA, VELOCITY], ids=repr)
def test_energies_before_and_after_calibration(target):
    """The noise prediction is half as large again as it should be; calibration mends that."""
    schedule = VPLinear()
    predict = network(schedule, target, 1.5)
    calibration = calibrate(predict, schedule, target=target, images=IMAGES, times=TIMES, order=1)
    for k, t in enumerate(TIMES):
        before, after = calibration.noise_energy[k].tolist()
        truth = energy_of(schedule, t).item()
        assert before == pytest.approx(2.25 * truth, rel=0.05)
        assert after == pytest.approx(truth, rel=0.1)


def test_a_calibration_of_order_zero_has_none():
    schedule = VPLinear()
    calibration = calibrate(network(schedule, NOISE), schedule, images=IMAGES, times=TIMES, order=0)
    assert calibration.noise_energy is None


def test_the_energy_of_a_sum_by_hand():
    """|2 y - x + 1/2|^2 with E y^2 = 3, E x^2 = 2, E x y = 1/2 about the means: 12 - 2 + 2 + 1/4."""
    moments = torch.zeros(6, 1, dtype=torch.float64)
    moments[XX], moments[XY], moments[YY] = 2.0, 0.5, 3.0
    one = torch.ones(1, dtype=torch.float64)
    assert _energy(moments, 2 * one, -one, one / 2).item() == pytest.approx(12.25)


def test_the_energy_without_calibration_is_that_of_the_predictions():
    """A mean over groups alike, however many images each has: of 20 images, four groups have two."""
    n, schedule, drawn = 20, VPLinear(), []
    predict = network(schedule, NOISE)

    def seen(x_t, t, condition=None):
        drawn.append(predict(x_t, t))
        return drawn[-1]

    calibration = calibrate(seen, schedule, images=IMAGES[:n], times=TIMES, order=1)
    ranks = survey(ImageSet(IMAGES[:n], None, n)).ranks
    for found, of_time in zip(calibration.noise_energy[:, 0], drawn, strict=True):
        energies = of_time.square().flatten(1).mean(1)
        groups = [energies[ranks % GROUPS == g].mean() for g in range(GROUPS)]
        assert torch.allclose(found, torch.stack(groups).mean(), rtol=1e-9)
