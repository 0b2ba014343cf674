"""Ancestral sampling with the best variance: exact in few steps where the posterior is Gaussian."""

import pytest
import torch

from real.solvers import analytic
from real.solvers.by_name import solver_pair
from real.solvers.sampling import sample
from tests.real.exact import FAMILIES, VARIANCE, exact_checkpoint
from theory.calibration.procedure import calibrate
from theory.forward.keyed_noise import keyed_noise
from theory.support.errors import InputError

N = 4000
NOISE = keyed_noise(0, "start", 0, 0, torch.arange(N), (2, 1, 1))


def energy(family):
    """E|E[e|x_t]|^2 / d of the exact network."""
    schedule, _ = FAMILIES[family]

    def at(times):
        alpha, sigma = (f(times)[:, None] for f in (schedule.alpha, schedule.sigma))
        return (sigma**2 / (alpha**2 * VARIANCE.flatten() + sigma**2)).mean(1)

    return at


def spread(family, solver):
    """Sample variance over the data's, averaged over the channels, from six evaluations."""
    checkpoint = exact_checkpoint(family)
    images = sample(checkpoint, checkpoint.predict, NOISE, solver=solver, nfe=6).images
    return (images.var(0) / VARIANCE).mean().item()


@pytest.mark.parametrize("family", ["vp", "table", "flow"])
def test_few_steps_keep_the_variance_of_the_data(family):
    """The cleanest time denoises at the end; what is left out there is the same for both."""
    best = abs(spread(family, analytic.analytic_solver(energy(family))) - 1)
    usual = abs(spread(family, "ddpm") - 1)
    wrong = abs(spread(family, analytic.analytic_solver(lambda t: 0.5 * energy(family)(t))) - 1)
    assert best < usual / 2
    assert best < wrong / 2


@pytest.mark.parametrize("family", ["vp", "table", "flow"])
def test_a_step_is_the_mean_between_x_0_and_x_t(family):
    """Bayes' rule: x_s from its law given x_0, and from x_t, each by its precision."""
    schedule, _ = FAMILIES[family]
    plan = analytic.analytic_solver(energy(family)).begin(schedule, 6, {})
    x_0, x_t = NOISE[:5].double() / 3, NOISE[5:10].double()
    for i in range(5):
        s, t = plan.times[i + 1], plan.times[i]
        scale_t, scale_s = (plan.norm(schedule.alpha(u), schedule.sigma(u)) for u in (t, s))
        taken, added = schedule.transition(s, t)
        of_x_t, of_x_0 = taken**2 / added, 1 / schedule.sigma(s) ** 2
        sides = of_x_t * (scale_t * x_t / taken) + of_x_0 * (schedule.alpha(s) * x_0)
        expected = sides / (of_x_t + of_x_0) / scale_s
        found = plan.step(i, x_0, x_t, lambda: torch.zeros_like(x_t))
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def calibrated(order, n=64):
    checkpoint = exact_checkpoint("vp")
    images = 0.2 * keyed_noise(1, "x", 0, 0, torch.arange(n), (2, 1, 1))
    return calibrate(
        checkpoint.predict, checkpoint.schedule, images=images, times=[0.1, 0.5, 0.9], order=order
    )


def test_the_pair_is_one_solver_unless_the_variance_differs():
    calibration = calibrated(1)
    schedule = calibration.schedule
    without, with_it = solver_pair("ddim", schedule, calibration)
    assert without is with_it
    assert solver_pair(None, schedule, calibration)[0].name == "ddim"
    without, with_it = solver_pair("ddpm-analytic", schedule, calibration)
    assert without is not with_it


def test_a_calibration_of_order_zero_has_no_variance():
    calibration = calibrated(0)
    with pytest.raises(InputError, match="expected one of order 1"):
        solver_pair("ddpm-analytic", calibration.schedule, calibration)


def test_noise_energies_are_the_exact_networks_own():
    calibration = calibrated(1, 2000)
    data = 0.2**2 + 0 * VARIANCE.flatten()
    t = calibration.times
    alpha, sigma = (f(t)[:, None] for f in (calibration.schedule.alpha, calibration.schedule.sigma))
    model = alpha**2 * VARIANCE.flatten() + sigma**2
    mean = torch.tensor([0.2, -0.1]).double()
    variance = alpha**2 * data + sigma**2
    expected = (sigma**2 * (variance + (alpha * mean) ** 2) / model**2).mean(1)
    assert torch.allclose(calibration.noise_energy[:, 0], expected, rtol=0.1)


def test_each_of_the_pair_has_its_own_energy():
    """A network whose noise is twice too large: without calibration it has four times the energy."""
    checkpoint = exact_checkpoint("vp")
    images = 0.2 * keyed_noise(1, "x", 0, 0, torch.arange(400), (2, 1, 1))
    calibration = calibrate(
        lambda x_t, t: 2 * checkpoint.predict(x_t, t), checkpoint.schedule, images=images,
        times=[0.3, 0.5, 0.7, 0.9], order=1,
    )  # fmt: skip
    before, after = calibration.noise_energy.unbind(1)
    assert (after < before / 2).all()
    schedule, state = calibration.schedule, torch.zeros(1, 2, 1, 1)
    noise_added = []
    for solver in solver_pair("ddpm-analytic", schedule, calibration):
        run = solver.begin(schedule, 6, {})
        noise_added.append(run.step(2, state, state, lambda: torch.ones_like(state)).max().item())
    without, with_it = noise_added
    assert without < with_it, "what a network tells of the noise need not be added"
