"""Two networks on the same noise: rises of the loss as in closed form, verdicts, what is refused."""

from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.refusals import refusal
from tests.theory.known_pixels import (
    BIAS,
    SCHEDULE,
    SHAPE,
    TIMES,
    KnownPixels,
    images,
    imperfect,
)
from theory.calibration.comparison import TOLERANCE, Comparison, compare
from theory.calibration.held_out import HeldOut
from theory.diffusion.likelihood_bound import bound_weights
from theory.diffusion.schedules import DiscreteSchedule, RectifiedFlow, VPCosine, VPLinear
from theory.diffusion.targets import DATA, FLOW, NOISE, SCORE, VELOCITY, edm_raw, shift_factor
from theory.estimators.line_check import LineComparison
from theory.estimators.time_grid import TimeGrid
from theory.forward.fingerprints import image_ids
from theory.forward.keyed_noise import keyed_noise
from theory.forward.network import Network
from theory.statistics.intervals import LEVEL, Estimate
from theory.support.broadcasting import along_batch

SEED, DRAWS = 3, 3
SPREAD = 0.5
"""Standard deviation of every pixel of Gaussian images."""


def gaussian_images(n=12):
    return SPREAD * keyed_noise(SEED, "images", 0, 0, torch.arange(n), SHAPE)


@dataclass(frozen=True)
class GaussianNoise:
    """E[e | x_t] for Gaussian images, sigma_t x_t / (alpha_t^2 SPREAD^2 + sigma_t^2), plus a bias."""

    bias: float = 0.0

    def __call__(self, x_t, t):
        alpha, sigma = (along_batch(f(t), x_t) for f in (SCHEDULE.alpha, SCHEDULE.sigma))
        return sigma * x_t / (alpha**2 * SPREAD**2 + sigma**2) + self.bias * BIAS


def network(predict, target=NOISE, schedule=SCHEDULE):
    return Network(predict, schedule, target)


def of_gaussian(first, second, **options):
    options = {"images": gaussian_images(), "times": TIMES, "seed": SEED, "draws": DRAWS} | options
    return compare(network(first), network(second), **options)


def biased(bias, target=NOISE):
    """A network whose error, in noise form, is this constant."""

    def of_target(t, x_0):
        return along_batch(shift_factor(t, NOISE, target, SCHEDULE), x_0) * bias

    return network(KnownPixels(of_target, target), target)


def rises_by_hand(bias):
    """2 b.r + |b|^2 of each image and time, mean over draws, with r of the exact denoiser."""
    x_0, columns = gaussian_images(), []
    for k, t in enumerate(torch.tensor(TIMES, dtype=torch.float64)):
        of_draws = []
        for draw in range(DRAWS):
            pair = keyed_noise(SEED, "validate", k, draw // 2, image_ids(x_0), SHAPE)
            e = -pair if draw % 2 else pair
            x_t = SCHEDULE.alpha(t) * x_0 + SCHEDULE.sigma(t) * e
            r, b = GaussianNoise()(x_t, t.expand(len(x_0))) - e, bias * BIAS
            of_draws.append((2 * b * r + b**2).flatten(1).sum(1))
        columns.append(torch.stack(of_draws).mean(0))
    return torch.stack(columns, 1)


@pytest.mark.parametrize("predict", [imperfect, GaussianNoise(0.3)])
def test_a_network_differs_from_itself_by_nothing(predict):
    found = of_gaussian(predict, predict)
    assert not found.rises.any()
    nothing = Estimate(0.0, 0.0, 0.0)
    assert found.loss_rise() == [nothing] * len(TIMES) and found.bound_rise() == nothing
    assert found.verdict() == (
        "no difference: A and B have the same loss on each of 12 images at each of 3 times"
    )


def error_by_hand(found, bias):
    return (found.rises - rises_by_hand(bias)).abs().max().item()


@pytest.mark.parametrize("bias", [0.2, -1.0])
def test_a_bias_of_the_exact_denoiser_raises_the_loss_as_by_hand(bias):
    found = of_gaussian(GaussianNoise(), GaussianNoise(bias))
    assert error_by_hand(found, bias) < 1e-12
    swapped = replace(found, first=found.second, second=found.first)
    assert error_by_hand(swapped, bias) > 0.1, "A and B in each other's place are told apart"
    unpaired = of_gaussian(GaussianNoise(), GaussianNoise(bias), seed=SEED + 1)
    assert error_by_hand(unpaired, bias) > 0.1


def test_the_paired_rise_has_far_less_variance_than_the_losses():
    found = of_gaussian(GaussianNoise(), GaussianNoise(0.05))
    assert (found.rises.std(0) < 0.2 * found.first.losses.std(0)).all()


biases = st.lists(st.floats(-0.5, 0.5), min_size=12, max_size=12).map(
    lambda numbers: torch.tensor(numbers, dtype=torch.float64).reshape(SHAPE)
)


@settings(max_examples=15)
@given(biases, biases, st.sampled_from([NOISE, DATA, VELOCITY, SCORE]))
def test_constant_errors_make_rises_of_their_squares_and_antisymmetric_ones(a, b, target):
    """Every residual is the constant, so that no noise is left: |b|^2 - |a|^2 at every time."""
    one, other = biased(a, target), biased(b, target)
    found = compare(one, other, images=images(6), times=TIMES)
    mirrored = compare(other, one, images=images(6), times=TIMES)
    assert torch.equal(found.rises, -mirrored.rises)
    rise, times = (b.square().sum() - a.square().sum()).item(), found.grid.times
    scale = shift_factor(times, NOISE, target, SCHEDULE).square()
    assert found.rises == pytest.approx((rise * scale).expand(6, 3).numpy(), rel=1e-7, abs=1e-7)
    nats = rise * bound_weights(SCHEDULE, times).sum().item()
    bound, other_way = found.bound_rise(), mirrored.bound_rise()
    assert bound.value == pytest.approx(nats, rel=1e-7, abs=1e-7)
    assert (bound.lower, bound.upper) == (-other_way.upper, -other_way.lower)


def test_the_worse_network_is_called_worse_from_either_side():
    exact, wrong = biased(0 * BIAS), biased(BIAS)
    worse = compare(exact, wrong, images=images(8), times=TIMES).verdict("one", "other")
    better = compare(wrong, exact, images=images(8), times=TIMES).verdict("one", "other")
    assert worse.startswith("other is worse: its bound is ") and " nats higher (95%: " in worse
    assert "higher at 3 of 3 times and lower at none (95% for all of them at once)" in worse
    assert better.startswith("other is better: its bound is ") and " nats lower (95%: " in better
    assert "higher at none of 3 times and lower at 3 (95%" in better


def planted(rises):
    """A comparison whose losses differ by (n, T)."""
    held_out = HeldOut(torch.zeros_like(rises), {}, (), ())
    times = torch.linspace(0.2, 0.8, rises.shape[1], dtype=torch.float64)
    return Comparison(
        TimeGrid(SCHEDULE, times), NOISE, 12, held_out, replace(held_out, losses=rises),
        torch.arange(len(rises)),
    )  # fmt: skip


def noisy(*means, n=50):
    """(n, T) of these means and variance one, exactly."""
    noise = keyed_noise(0, "planted", 0, 0, torch.arange(n), (len(means),))
    return torch.tensor(means).double() + (noise - noise.mean(0)) / noise.std(0)


@pytest.mark.parametrize(
    ("means", "begins", "ends"),
    [
        ((0.1, 0.1, -0.1), "no difference is certain: B's bound is ", "none of 3 times and lower at none"),
        ((3.0, -3.0, 0.0, 3.0, -3.0), "no difference of the bound is certain: B's bound is ",
         "2 of 5 times and lower at 2"),
        ((2.0, 2.0, 0.0), "B is worse: ", "2 of 3 times and lower at none"),
        ((-2.0, 0.0), "B is better: ", "none of 2 times and lower at 1"),
    ],
)  # fmt: skip
def test_only_what_is_certain_is_said(means, begins, ends):
    rises = noisy(*means)
    if len(means) == 5:  # their bound is made zero in the mean
        rises[:, 2] -= planted(rises).bound_rise().value / bound_weights(
            SCHEDULE, planted(rises).grid.times
        )[2]  # fmt: skip
        rises[:, 2] += 20 * keyed_noise(1, "planted", 0, 0, torch.arange(50), ())
    said = planted(rises).verdict()
    assert said.startswith(begins) and f"is higher at {ends} (95%" in said, said


@pytest.mark.parametrize("sign", [1, -1])
def test_the_interval_of_a_change_is_said_in_its_own_direction(sign):
    """Lower by 2, with 1 to 3: both ends turn their sign, and change places."""
    rises = sign * noisy(2.0, 2.0)
    rise = planted(rises).bound_rise()
    ends = sorted([sign * rise.lower, sign * rise.upper])
    assert 0 < ends[0] < abs(rise.value) < ends[1]
    way = "higher" if sign > 0 else "lower"
    said = f"its bound is {abs(rise.value):.3g} nats {way} (95%: {ends[0]:.3g} to {ends[1]:.3g});"
    assert said in planted(rises).verdict()


def test_many_times_are_judged_at_a_level_at_which_all_hold_at_once():
    found = planted(noisy(*([0.36] * 20)))
    one, together = Estimate.of_mean(found.rises[:, 0]), found.loss_rise()[0]
    assert one.lower > 0 > together.lower, "certain by itself, not among twenty"
    assert together == Estimate.of_mean(found.rises[:, 0], level=1 - (1 - LEVEL) / 20)
    assert "higher at none of 20" in found.verdict()
    assert "higher at 1 of 2 " in planted(noisy(0.36, 0.0)).verdict()


def test_images_that_belong_together_count_once():
    x_0, groups = gaussian_images(), torch.arange(12) // 4
    alone, grouped = (of_gaussian(imperfect, GaussianNoise(), groups=g) for g in (None, groups))
    units = grouped.units
    assert torch.equal(units[:, None] == units, groups[:, None] == groups)
    assert torch.equal(alone.rises, grouped.rises)
    assert (alone.independent, grouped.independent) == (12, 3)
    by_hand = Estimate.of_mean(grouped.rises[:, 0], units, 1 - (1 - LEVEL) / len(TIMES))
    assert grouped.loss_rise()[0] == by_hand != alone.loss_rise()[0]
    nats = grouped.rises @ bound_weights(SCHEDULE, grouped.grid.times)
    assert grouped.bound_rise() == Estimate.of_mean(nats, units) != Estimate.of_mean(nats)
    copied = of_gaussian(imperfect, GaussianNoise(), images=torch.cat([x_0, x_0]))
    assert (len(copied.rises), copied.independent) == (24, 12)


@pytest.mark.parametrize("size", [1, 5])
def test_batches_and_what_they_come_in_do_not_matter(size):
    whole = of_gaussian(imperfect, GaussianNoise())
    for given_images in (gaussian_images(), iter(gaussian_images().split(size))):
        split = of_gaussian(imperfect, GaussianNoise(), images=given_images, batch_size=size)
        assert (split.rises - whole.rises).abs().max() < 1e-12


def test_what_contradicts_a_description_is_said_of_its_network_alone():
    x_0 = gaussian_images(64)
    found = of_gaussian(GaussianNoise(), lambda x_t, t: x_t * 0 + 3.0, images=x_0)
    right, wrong = found.warnings()
    assert right is None
    assert wrong is not None and wrong.startswith("the network does not fit its description")


@pytest.mark.parametrize("wrong", [0, 1])
def test_a_mean_that_is_wrong_is_said_of_its_network_alone(wrong):
    """Both beat the line; the mean error of one is a third of the noise's variance."""
    found = planted(noisy(0.0, 0.0))
    line = (LineComparison(1.0, 2.0, 3.0, 12.0, 0.01, 50),) * 2
    sizes = [(Estimate(0.0, -0.1, 0.1),) * 2, (Estimate(4.0, 3.9, 4.1),) * 2]
    first, second = (
        replace(found.first, line_check=line, eta_sq=sizes[k == wrong]) for k in (0, 1)
    )
    said = replace(found, first=first, second=second).warnings()
    assert said[1 - wrong] is None
    assert "the mean of its predictions is wrong" in said[wrong]


def never(x_t, t):
    pytest.fail("a network was run before the refusal")


ALMOST = torch.linspace(0.999, 0.001, 8, dtype=torch.float64)


def test_networks_of_another_problem_are_refused_before_they_run():
    a, flow = network(never), RectifiedFlow()
    for first, second, times, said in (
        (a, network(never, VELOCITY), TIMES, r"one target, got Target\('noise'\) and Target\('velocity"),
        (a, network(never, schedule=VPCosine()), TIMES, r"one schedule, got VPLinear.* at t = 0\.5"),
        (network(never, edm_raw(0.5)), network(never, edm_raw(0.7)), TIMES, "one target, got"),
        (network(never, schedule=DiscreteSchedule(ALMOST)),
         network(never, schedule=DiscreteSchedule(ALMOST * 0.99)), [0, 3], "one schedule, got Discrete"),
        (a, network(never, schedule=VPLinear(beta_max=21.0)), 4, "one schedule, got VPLinear"),
        (a, a, [0.5], "expected at least two of finite log-SNR, got 1"),
        (network(never, FLOW, flow), network(never, FLOW, flow), [0.0, 0.5], "finite log-SNR, got 1"),
        (a, replace(a, reference=never), TIMES, "held against no reference"),
        (a, a, [0.5, 7.0], "times outside the schedule"),
    ):  # fmt: skip
        with refusal(said, said):
            compare(first, second, images=gaussian_images(), times=times)


def test_tables_that_differ_by_rounding_alone_are_one_schedule():
    table = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    one, rounded = DiscreteSchedule(table), DiscreteSchedule(table.float())
    assert one != rounded
    network_a, network_b = (network(imperfect, schedule=s) for s in (one, rounded))
    found = compare(network_a, network_b, images=gaussian_images(), times=[0, 500, 999])
    assert found.rises.abs().max() == 0, "both are shown what the first schedule makes"
    assert (rounded.sigma(torch.zeros(1)) / one.sigma(torch.zeros(1)) - 1).abs() < TOLERANCE


def test_every_evaluation_is_counted():
    counted = []
    of_gaussian(imperfect, GaussianNoise(), on_progress=counted.append)
    assert sum(counted) == 2 * 12 * len(TIMES) * DRAWS
