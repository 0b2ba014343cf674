"""Models with planted error: the closed form of their best shift, and exactness without error."""

import math
from dataclasses import replace

import pytest
import torch

from theory.diffusion.schedules import EDM, RectifiedFlow, VPLinear
from theory.diffusion.targets import NAMED, NOISE
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.mixtures.planted_error import PlantedErrorModel, cosine_bias
from toy.numerics.quadrature import expectation
from toy.strategies.mixtures import Components

LINE = GaussianMixture.diagonal(
    torch.tensor([0.6, 0.4]), torch.tensor([[-2.0], [1.5]]), torch.tensor([0.15, 0.3])
)
PLANE = Components(
    (0.5, 0.5), ((-1.0, 0.5), (1.0, 0.0)), ((0.4, 1.2), (0.8, 0.5)), (0.5, 2.0)
).mixture()
SCHEDULES = [VPLinear(), EDM(), RectifiedFlow()]
TIME = 0.4
TARGETS = pytest.mark.parametrize("target", NAMED.values(), ids=repr)


def planted(data, schedule, target):
    bias = torch.linspace(0.5, -0.25, data.dimension, dtype=torch.float64)
    return PlantedErrorModel(
        Diffusion(data, schedule), target, cosine_bias(bias), slope=0.3, amplitude=0.7,
        frequency=2.5, phase=0.4, scale=0.2,
    )  # fmt: skip


def eta_error(model, eta):
    """E[y_theta] - A E[x_0] over a dense trapezoid rule, against eta."""
    diffusion = model.diffusion
    law = diffusion.marginal(TIME)
    a, _ = model.target.coefficients(diffusion.schedule, float64(TIME))
    x = torch.linspace(-12, 12, 48_001, dtype=torch.float64)[:, None]
    weights = torch.exp(law.log_density(x)) * (x[1] - x[0])
    mean = weights @ model.at(x, TIME)
    return (mean - a * diffusion.data.mean() - eta).abs().max().item()


@TARGETS
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
def test_eta_is_the_mean_error(target, schedule):
    model = planted(LINE, schedule, target)
    assert eta_error(model, model.eta(TIME)) < 1e-10


@TARGETS
def test_eta_in_the_plane(target):
    model = planted(PLANE, VPLinear(), target)
    a, _ = target.coefficients(VPLinear(), float64(TIME))
    law = model.diffusion.marginal(TIME)
    mean = expectation(law, lambda x: model.at(x, TIME), scale=1 / model.frequency).value
    assert (mean - a * PLANE.mean() - model.eta(TIME)).abs().max() < 1e-10
    assert (mean - a * PLANE.mean() - model.eta(TIME).flip(0)).abs().max() > 0.1


MISTAKES = {
    "another time": lambda model: model.eta(TIME + 0.1),
    "undamped waves": lambda model: replace(model, frequency=1e-9).eta(TIME),
    "no waves": lambda model: replace(model, amplitude=0.0).eta(TIME),
    "no constant": lambda model: model.eta(TIME) - model.constant(TIME),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_other_shifts_are_told_apart(name):
    model = planted(LINE, VPLinear(), NOISE)
    assert eta_error(model, MISTAKES[name](model)) > 1e-3


def exactness_error(model, x):
    """Against A E[x_0|x_t] + B E[e|x_t], the data's mean by Bayes' rule and nothing of the model."""
    alpha, sigma = model.diffusion.scales(TIME)
    y = model.at(x, TIME)
    x_0 = torch.stack([bayes_mean(model.diffusion.data, x_t, alpha, sigma) for x_t in x])
    e = (x - alpha * x_0) / sigma
    expected = model.target.value(model.diffusion.schedule, float64(TIME), x_0, e)
    return (y - expected).abs().max().item()


def bayes_mean(data, x_t, alpha, sigma):
    x_0 = torch.linspace(-8, 8, 32_001, dtype=torch.float64)[:, None]
    log_weight = data.log_density(x_0) - (x_t - alpha * x_0)[:, 0] ** 2 / (2 * sigma**2)
    return torch.softmax(log_weight, 0) @ x_0


@TARGETS
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
def test_a_model_with_nothing_planted_is_exact(target, schedule):
    x = torch.tensor([[-1.5], [0.2], [1.0]], dtype=torch.float64)
    assert exactness_error(PlantedErrorModel(Diffusion(LINE, schedule), target), x) < 1e-9
    assert PlantedErrorModel(Diffusion(LINE, schedule), target).eta(TIME).abs().max() < 1e-15


@pytest.mark.parametrize(
    "planted_error",
    [
        {"slope": 0.1},
        {"scale": 0.1},
        {"amplitude": 0.1},
        {"constant": cosine_bias(torch.tensor([0.1]).double())},
    ],
    ids=lambda p: next(iter(p)),
)
def test_a_model_with_something_planted_is_not(planted_error):
    x = torch.tensor([[-1.5], [0.2], [1.0]], dtype=torch.float64)
    model = PlantedErrorModel(Diffusion(LINE, VPLinear()), NOISE, **planted_error)
    assert exactness_error(model, x) > 1e-2


def test_each_point_is_predicted_at_its_own_time():
    model = planted(PLANE, VPLinear(), NOISE)
    x = torch.tensor([[0.1, 0.2], [0.3, -0.4], [1.0, 0.0]], dtype=torch.float64)
    t = torch.tensor([0.4, 0.2, 0.4], dtype=torch.float64)
    apart = torch.stack([model.at(x_t, time) for x_t, time in zip(x, t.tolist(), strict=True)])
    assert (model(x, t) - apart).abs().max() < 1e-14
    assert (model(x, t.flip(0).roll(1)) - apart).abs().max() > 1e-2


def test_a_bias_over_time():
    bias = torch.tensor([1.0, -2.0], dtype=torch.float64)
    assert torch.equal(cosine_bias(bias)(0.5), bias * math.cos(0.5))
    assert not torch.equal(cosine_bias(bias)(0.6), bias * math.cos(0.5))
