"""The laws and models of a case are made of its numbers, each in its own place."""

import math
from dataclasses import replace

import pytest
import torch

from tests.draws import drawn
from theory.diffusion.schedules import RectifiedFlow, VPLinear
from theory.diffusion.targets import DATA, NOISE
from toy.mixtures.mixture import float64
from toy.strategies.extremes import ExtremeCase, ExtremeModelCase
from toy.strategies.gaussians import GaussianTailCase
from toy.strategies.guided import GuidedCase
from toy.strategies.likelihood import (
    FLOOR,
    LikelihoodCase,
    SpaceCase,
    TwoMixturesCase,
    WholeRangeCase,
)
from toy.strategies.mixtures import AtomicCase, Components
from toy.strategies.planted_errors import PlantedErrorCase, RegressionCase, affine_error_cases
from toy.strategies.ranges import RangeCase
from toy.strategies.tilts import AmortizedCase
from toy.strategies.time_pairs import TimePair

TWO = Components((0.25, 0.75), ((-1.0,), (2.0,)), ((0.5,), (1.5,)), ())
OTHERS = Components((1.0,), ((3.0,),), ((0.7,),), ())
PAIR = TimePair(RectifiedFlow(), 0.2, 0.5)
X = float64([[-0.3], [1.7]])


def test_components_are_a_mixture_of_their_weights_means_and_deviations():
    law = TWO.mixture()
    assert torch.exp(law.log_weights).tolist() == pytest.approx([0.25, 0.75])
    assert law.means[:, 0].tolist() == [-1.0, 2.0]
    assert law.variances[:, 0].tolist() == pytest.approx([0.25, 2.25])
    flat = Components((1.0,), ((1.0, 2.0),), ((2.0, 0.5),), (math.pi / 2,)).mixture()
    assert flat.covariances()[0].tolist() == [
        pytest.approx([0.25, 0.0], abs=1e-12), pytest.approx([0.0, 4.0], abs=1e-12),
    ]  # fmt: skip
    atoms = AtomicCase((0.25, 0.75), ((-1.0,), (2.0,)), PAIR, 0, (0.0,)).diffusion.data
    assert torch.exp(atoms.log_weights).tolist() == pytest.approx([0.25, 0.75])
    assert atoms.means[:, 0].tolist() == [-1.0, 2.0] and not atoms.variances.any()
    tail = GaussianTailCase(PAIR, 9.0, 2.0).diffusion
    assert (tail.data.means.item(), tail.data.variances.item()) == (0.0, 9.0)
    assert tail.schedule is PAIR.schedule


def test_a_planted_error_is_the_sum_of_its_parts():
    case = PlantedErrorCase(TWO, PAIR, DATA, 0.3, -0.2, 0.7, 1.1, 5.0)
    model = RegressionCase(case, 0.4, ("x", "y")).model
    law, mean = case.diffusion, case.diffusion.data.mean()
    assert model.target == DATA and case.model().scale == 0
    exact = law.posterior_mean(X, 0.5)
    planted = 0.3 - 0.2 * (X - 0.5 * mean) + 0.7 * torch.sin(1.1 * X) + 0.4 * (exact - mean)
    assert torch.allclose(model.at(X, 0.5), exact + planted)
    assert all(c.planted.amplitude == 0 for c in drawn(affine_error_cases(("x", "y"))))


def test_an_extreme_model_has_errors_in_units_of_its_prediction():
    extreme = ExtremeCase((0.0, 0.0), ((0.0,), (1.0,)), ((0.0,), (2.0,)), (), PAIR, 0, (0.0,))
    case = ExtremeModelCase(extreme, DATA, 0.3, -0.2, 0.7, 1.1, 5.0)
    law = extreme.diffusion
    unit = law.target_size(DATA, 0.5)
    marginal = law.marginal(0.5)
    reach = ((marginal.means - marginal.mean()).abs() + marginal.variances.sqrt()).max()
    planted = 0.3 - 0.2 * (X - marginal.mean()) / reach + 0.7 * torch.sin(1.1 / reach * X)
    found = case.model().at(X, 0.5) - law.posterior_mean(X, 0.5)
    assert torch.allclose(found, unit * planted)
    assert (case.shift, case.times) == (5.0 * unit, PAIR)


def test_branches_are_of_their_labels_and_the_last_of_all():
    constants = ((0.1,), (0.2,), (0.3,))
    case = GuidedCase(TWO, PAIR, NOISE, constants, 0.5, 2.0, 1, (0.0,))
    for k, (constant,) in enumerate(constants[:-1]):
        branch = case.branch(k)
        data = branch.diffusion.data
        assert (data.means.item(), data.variances.sqrt().item()) == (
            TWO.means[k][0], pytest.approx(TWO.deviations[k][0]),
        )  # fmt: skip
        assert branch.constant(0.5).item() == constant
    joint = case.branch(-1)
    assert joint.diffusion is case.diffusion and joint.constant(0.5).item() == 0.3
    assert (joint.amplitude, joint.target) == (0.5, NOISE)
    assert case.weights.tolist() == pytest.approx([0.25, 0.75])


def test_priors_miss_in_the_units_that_are_said():
    unit = math.exp(-PAIR.schedule.log_snr(float64(0.5)).item() / 2)
    model = LikelihoodCase(TWO, PAIR, 0.8, 0.6, -0.4, 0.3, 1.7).model
    assert (model.slope, model.centre, model.variance) == (0.8, 0.6, 0.0)
    assert (model.bias, model.mean, model.deviation) == pytest.approx(
        (-0.4 * unit, 0.6 + 0.3 * unit, 1.7)
    )
    whole = WholeRangeCase(TWO, PAIR, 2.0, 0.8, 0.6, -0.4, 0.3, 1.7)
    spread = math.sqrt(4.0 + unit**2)
    assert (whole.model.slope, whole.model.centre, whole.model.bias) == (0.8, 0.6, -0.4)
    assert (whole.model.variance, whole.model.deviation) == (4.0, 1.7)
    assert whole.model.mean == pytest.approx(0.3 * 1.7 * spread)
    calibrated = whole.calibrated()
    assert calibrated == replace(whole, centre=calibrated.centre, bias=0.0)
    assert calibrated.centre == pytest.approx(0.25 * -1.0 + 0.75 * 2.0)


def test_two_laws_are_the_datas_and_the_models():
    case = TwoMixturesCase(TWO, OTHERS, PAIR, 0.0)
    assert case.data.data.means[:, 0].tolist() == [-1.0, 2.0]
    assert case.model.data.means[:, 0].tolist() == [3.0]
    axes = ((2.0, 0.8, 0.6, -0.4, 0.3, 1.7), (1.0, 0.9, 0.0, 0.1, 0.2, 1.1))
    roots = ((1.0, 2.0), (0.0, 3.0)), ((0.5, 0.0), (1.0, 1.0))
    space = SpaceCase(PAIR, (1.0, 2.0), roots[0], (3.0, 4.0), roots[1], axes)
    for (mean, covariance), expected, root in zip(
        (space.data, space.other), ([1.0, 2.0], [3.0, 4.0]), roots, strict=True
    ):
        assert mean.tolist() == expected
        square = float64(root) @ float64(root).T
        assert torch.allclose(covariance, square + FLOOR * torch.eye(2))
    for model, axis in zip(space.models, axes, strict=True):
        assert model == WholeRangeCase(TWO, PAIR, *axis).model


def test_bounded_martingales_are_of_the_narrowest_component_and_of_the_first_coordinate():
    case = RangeCase((0.2, 0.8), (1.5, 0.1), ((-1.0, 0.5), (1.0, 0.0)), 3, PAIR)
    data = case.probability().diffusion.data
    assert data.variances[:, 0].tolist() == pytest.approx([0.01, 2.25])
    assert (data.dimension, data.means.abs().max()) == (3, 0)
    mean = case.mean()
    assert mean.range_at(0.5) == (-1.0, 1.0)
    x = float64([[0.2, -0.1]])
    assert mean.value(x, 0.5) == mean.diffusion.posterior_mean(x, 0.5)[:, 0]


def test_times_of_a_shift_reach_over_the_schedule():
    times = AmortizedCase(VPLinear(), (1.0,), 0.0).times(5)
    assert len(times) == 5 and (times.diff() > 0).all()
    assert times[-1] > 0.9 and times[0] < 0.1
