"""Analytic-DPM's variance on Gaussian data, where everything has a closed form."""

import pytest
import torch

from theory.calibration.procedure import calibrate
from theory.diffusion.reverse_variance import optimal_variance
from theory.diffusion.schedules import EDM, RectifiedFlow, VPLinear
from theory.diffusion.targets import DATA, NOISE, VELOCITY
from theory.forward.keyed_noise import keyed_noise

SHAPE, MEAN, DEVIATION = (1, 4, 4), 0.3, 0.5
IMAGES = MEAN + DEVIATION * keyed_noise(0, "images", 0, 0, torch.arange(800), SHAPE)
TIMES = [0.1, 0.4, 0.8]
SCHEDULES = [VPLinear(), EDM(), RectifiedFlow()]


def time(t):
    return torch.tensor(t, dtype=torch.float64)


def scales(schedule, t):
    return schedule.alpha(time(t)), schedule.sigma(time(t))


def energy_of(schedule, t):
    """E|E[e|x_t]|^2 / d = sigma^2/c."""
    alpha, sigma = scales(schedule, t)
    return sigma**2 / (alpha**2 * DEVIATION**2 + sigma**2)


def network(schedule, target, factor=1.0):
    """The exact noise prediction times a factor, as another target."""

    def predict(x_t, t, condition=None):
        alpha, sigma = (
            f(t.double()).reshape(-1, 1, 1, 1) for f in (schedule.alpha, schedule.sigma)
        )
        c = alpha**2 * DEVIATION**2 + sigma**2
        e = factor * sigma * (x_t - alpha * MEAN) / c
        return target.value(schedule, t, (x_t - sigma * e) / alpha, e)

    return predict


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
def test_the_variance_of_gaussian_data(schedule):
    s, t = 0.3, 0.7
    _, v = schedule.transition(time(s), time(t))
    c_s, c_t = (alpha**2 * DEVIATION**2 + sigma**2 for alpha, sigma in map(
        lambda u: scales(schedule, u), (s, t)))  # fmt: skip
    found = optimal_variance(schedule, time(s), time(t), energy_of(schedule, t))
    assert found.item() == pytest.approx((v * c_s / c_t).item(), rel=1e-10)


def test_its_two_ends_and_no_more():
    schedule, s, t = VPLinear(), time(0.3), time(0.7)
    a, v = schedule.transition(s, t)
    known, unknown, beyond = (
        optimal_variance(schedule, s, t, time(energy)) for energy in (1.0, 0.0, 1.5)
    )
    smaller = v * schedule.sigma(s) ** 2 / schedule.sigma(t) ** 2
    assert known.item() == pytest.approx(smaller.item(), rel=1e-10)
    assert unknown.item() == pytest.approx((v / a**2).item(), rel=1e-10)
    assert beyond == known


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
    calibration = calibrate(network(schedule, NOISE), schedule, images=IMAGES, times=TIMES)
    assert calibration.noise_energy is None
