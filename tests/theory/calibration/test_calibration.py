"""Calibration: it recovers what was planted, applies it exactly, and refuses what it must."""

import math
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from tests.theory.known_pixels import (
    BIAS,
    SCHEDULE,
    SHAPE,
    TIMES,
    KnownPixels,
    images,
    imperfect,
)
from theory.calibration.network import Calibrated
from theory.calibration.passes import Choice
from theory.calibration.procedure import calibrate
from theory.calibration.result import Calibration
from theory.diffusion.schedules import DiscreteSchedule, RectifiedFlow, VPLinear
from theory.diffusion.targets import DATA, FLOW, NAMED, NOISE, SCORE, VELOCITY
from theory.estimators.class_shift import ClassShift
from theory.estimators.constant_shift import ConstantShift
from theory.estimators.control_variates import PLAIN, RESIDUAL
from theory.estimators.line_check import LineComparison
from theory.estimators.slopes import Slopes
from theory.statistics.intervals import Estimate
from theory.statistics.moments import Moments
from theory.statistics.shrinkage import UNSHRUNK
from theory.support.broadcasting import along_batch
from theory.support.errors import InputError, NonFiniteError


def fading_bias(t, x_0):
    return BIAS * along_batch(torch.cos(t), x_0)


def planted(schedule=SCHEDULE):
    return torch.stack([BIAS * math.cos(t) for t in TIMES])


def recovery_error(network, **options):
    options = {"images": images(20), "times": TIMES} | options
    calibration = calibrate(network, SCHEDULE, target=network.target, **options)
    return (calibration.shift - planted()).abs().max().item()


@pytest.mark.parametrize("target", NAMED.values(), ids=repr)
def test_a_planted_bias_is_recovered(target):
    assert recovery_error(KnownPixels(fading_bias, target)) < 1e-10


@pytest.mark.parametrize("target", [NOISE, SCORE, VELOCITY, FLOW], ids=repr)
def test_the_plain_average_of_as_many_draws_is_noise(target):
    network = KnownPixels(fading_bias, target)
    assert recovery_error(network, estimator=PLAIN, policy=UNSHRUNK) > 1e-3


def test_the_bias_of_another_target_is_not_recovered():
    network = replace(KnownPixels(fading_bias, VELOCITY), target=NOISE)
    assert recovery_error(network) < 1e-10
    calibration = calibrate(network, SCHEDULE, target=DATA, images=images(20), times=TIMES)
    assert (calibration.shift - planted()).abs().max() > 1


def test_what_is_recovered_comes_with_its_certainty():
    calibration = calibrate(KnownPixels(fading_bias), SCHEDULE, images=images(20), times=TIMES)
    for k, estimate in enumerate(calibration.eta_sq):
        assert estimate.value == pytest.approx(planted()[k].square().sum().item(), rel=1e-9)
        assert estimate.upper - estimate.lower < 1e-9
    assert calibration.error_energy.abs().max() < 1e-16
    assert (calibration.weights - 1).abs().max() < 1e-12


def test_noise_is_left_alone():
    options = {"images": images(20), "times": TIMES, "estimator": PLAIN}
    shrunk = calibrate(KnownPixels(lambda t, x_0: 0 * x_0), SCHEDULE, **options)
    whole = calibrate(KnownPixels(lambda t, x_0: 0 * x_0), SCHEDULE, **options, policy=UNSHRUNK)
    assert shrunk.shift.square().sum() < whole.shift.square().sum() / 2
    assert bool((shrunk.weights < 1).all())
    assert whole.weights.tolist() == [1.0] * len(TIMES)
    assert torch.equal(shrunk.shift, along_batch(shrunk.weights, whole.shift) * whole.shift)


def shift_of(network=imperfect, **options):
    options = {"images": images(23) / 50, "times": TIMES, "draws": 2, "policy": UNSHRUNK} | options
    return calibrate(network, SCHEDULE, **options).shift


def largest(difference):
    return difference.abs().max().item()


@given(st.integers(1, 30))
def test_batch_size_does_not_matter(size):
    assert largest(shift_of(batch_size=size) - shift_of()) < 1e-12


@given(st.lists(st.integers(1, 10), max_size=4))
def test_batches_do_not_matter(sizes):
    x_0 = images(23) / 50
    cuts = torch.tensor([0, *sizes]).cumsum(0).clamp(max=23).unique()[1:].tolist()
    split = [part for part in x_0.tensor_split(cuts) if len(part)]
    assert largest(shift_of(images=split) - shift_of()) < 1e-12


def test_a_network_that_mixes_its_batch_is_told_apart():
    def mixing(x_t, t):
        return imperfect(x_t - x_t.mean(0), t)

    assert largest(shift_of(mixing, batch_size=5) - shift_of(mixing)) > 1e-3


def test_seeds_and_draws_matter():
    assert largest(shift_of(seed=1) - shift_of()) > 1e-3
    assert largest(shift_of(draws=1) - shift_of()) > 1e-3
    assert largest(shift_of(seed=0) - shift_of()) == 0


def error_energies(network, draws):
    return calibrate(
        network, SCHEDULE, images=images(40), times=TIMES, draws=draws, estimator=RESIDUAL
    ).error_energy


def bias_of_the_image(t, x_0):
    return 0.1 * x_0.mean(-1, keepdim=True).expand_as(x_0)


def test_the_unit_is_the_image_however_many_draws():
    network = KnownPixels(bias_of_the_image)
    one, four = error_energies(network, 1), error_energies(network, 4)
    assert torch.allclose(one, four, rtol=1e-9)
    assert bool((one > 0).all())


def test_draws_as_units_would_be_told_apart():
    units = bias_of_the_image(None, images(40))
    of_images, of_draws = Moments.empty(SHAPE, 40), Moments.empty(SHAPE, 40)
    of_images.add_(torch.arange(40), units)
    of_draws.add_(torch.arange(160) % 40, units.repeat(4, 1, 1, 1))
    expected = error_energies(KnownPixels(bias_of_the_image), 4)[0].item()
    assert of_images.error_energy() == pytest.approx(expected, rel=1e-9)
    assert of_draws.error_energy() < expected / 3


def test_what_is_odd_in_the_noise_cancels_between_antithetic_draws():
    def silent(x_t, t):
        return 0 * x_t

    one, two, three = (error_energies(silent, draws) for draws in (1, 2, 3))
    assert bool((two < 1e-20 * one).all())
    assert torch.allclose(one / three, torch.full_like(one, 9), rtol=0.25)


def test_provenance_and_progress():
    evaluations = []
    calibration = calibrate(
        imperfect, SCHEDULE, images=images(10), times=TIMES, draws=3, seed=5, batch_size=4,
        on_progress=evaluations.append, provenance={"fingerprint": "abc"},
    )  # fmt: skip
    assert sum(evaluations) == 10 * len(TIMES) * 3
    assert calibration.provenance == {
        "images": 10, "seed": 5, "evaluations": 10 * len(TIMES) * 3, "order": 1,
        "fingerprint": "abc",
    }  # fmt: skip
    assert calibration.choices == (Choice("regression", 10, 3),) * len(TIMES)
    assert len(calibration.image_ids.unique()) == 10
    assert calibration.with_provenance(note=1).provenance["note"] == 1
    assert "note" not in calibration.provenance


def hand_made(schedule, times, shift, smoothing=0.0):
    n = len(times)
    times = schedule.times(times)
    constant = ConstantShift(
        schedule.log_snr(times), shift, weights=torch.ones(n, dtype=torch.float64),
        gains=torch.zeros(n, dtype=torch.float64),
        certificates=torch.arange(1.0, n + 1, dtype=torch.float64), smoothing=smoothing, bands=1,
    )  # fmt: skip
    return Calibration(
        schedule=schedule, target=NOISE, times=times, parts=(constant,),
        plain_error_energy=torch.ones(n, dtype=torch.float64),
        choices=(Choice("regression", 2, 1),) * n,
        eta_sq=(Estimate(0.0, 0.0, 0.0),) * n, eta_sq_of_set=(Estimate(0.0, 0.0, 0.0),) * n,
        total_certificate=0.0,
        error_energy=torch.zeros(n, dtype=torch.float64),
        image_ids=torch.arange(2), provenance={"fingerprint": "abc"},
    )  # fmt: skip


TABLE = DiscreteSchedule([0.99, 0.95, 0.8, 0.5, 0.2, 0.05])
GRIDS = {
    "vp-linear": (VPLinear(), [0.125, 0.25, 0.5, 0.875]),
    "rectified-flow": (RectifiedFlow(), [0.125, 0.25, 0.5, 0.875]),
    "discrete": (TABLE, [0, 1, 3, 5]),
}
SHIFTS = torch.tensor([[1.0, 4.0], [-2.0, 0.5], [3.0, 3.0], [0.25, -1.0]], dtype=torch.float64)


def interpolated(schedule, log_snr, times, shifts):
    """Linear interpolation over log-SNR by hand, one point at a time."""
    known = schedule.log_snr(torch.tensor(times, dtype=torch.float64)).tolist()
    for i in range(len(times) - 1):
        if known[i + 1] <= log_snr <= known[i]:
            share = (log_snr - known[i]) / (known[i + 1] - known[i])
            return (1 - share) * shifts[i] + share * shifts[i + 1]
    raise AssertionError("outside")


@given(
    st.sampled_from(list(GRIDS.values())),
    st.permutations(range(4)),
    st.floats(0, 1),
)
def test_the_shift_is_linear_in_log_snr_between_times_of_any_order(grid, order, share):
    schedule, times = grid
    calibration = hand_made(schedule, [times[i] for i in order], SHIFTS[order])
    ends = torch.tensor([times[0], times[-1]], dtype=torch.float64)
    high, low = schedule.log_snr(ends).tolist()
    log_snr = torch.tensor(high + share * (low - high), dtype=torch.float64).clamp(low, high)
    t = schedule.time_of(log_snr).clamp(times[0], times[-1])
    expected = interpolated(schedule, log_snr.item(), times, SHIFTS)
    assert largest(calibration.at(t[None])[0] - expected) < 1e-9


def test_smoothed_shifts_follow_one_spline_in_log_snr():
    """A natural cubic spline through the shifts, by scipy, in whatever order the times come."""
    schedule, times = GRIDS["vp-linear"]
    order = [2, 0, 3, 1]
    calibration = hand_made(schedule, [times[i] for i in order], SHIFTS[order], smoothing=1.0)
    t = torch.linspace(times[0], times[-1], 50, dtype=torch.float64)
    log_snr = schedule.log_snr(torch.tensor(times, dtype=torch.float64))
    spline = CubicSpline(log_snr.flip(0), SHIFTS.flip(0), bc_type="natural")
    expected = torch.from_numpy(spline(schedule.log_snr(t)))
    assert largest(calibration.at(t) - expected) < 1e-9
    linear = hand_made(schedule, [times[i] for i in order], SHIFTS[order])
    assert largest(linear.at(t) - expected) > 0.1


def test_splines_end_where_nothing_is_applied():
    schedule, times = GRIDS["vp-linear"]
    shifts = SHIFTS.clone()
    shifts[2] = 0
    smoothed, linear = (hand_made(schedule, times, shifts, smoothing=s) for s in (1.0, 0.0))
    t = torch.linspace(times[0], times[-1], 50, dtype=torch.float64)
    assert torch.equal(smoothed.at(t), linear.at(t))


def test_linear_in_time_would_be_told_apart():
    calibration = hand_made(VPLinear(), [0.125, 0.25], SHIFTS[:2])
    middle = torch.tensor([0.1875], dtype=torch.float64)
    assert largest(calibration.at(middle)[0] - SHIFTS[:2].mean(0)) > 1e-2


@pytest.mark.parametrize("grid", GRIDS)
def test_the_shift_is_exact_at_calibrated_times(grid):
    schedule, times = GRIDS[grid]
    order = [2, 0, 3, 1]
    given_times = torch.tensor([times[i] for i in order])
    calibration = hand_made(schedule, given_times, SHIFTS[order])
    assert torch.equal(calibration.at(given_times), SHIFTS[order])
    assert torch.equal(calibration.at(given_times.flip(0)), SHIFTS[order].flip(0))
    assert not torch.equal(calibration.at(given_times.flip(0)), SHIFTS[order])


@pytest.mark.parametrize("t", [0.0, 0.1, 0.12499, 0.8751, 1.0])
def test_nothing_is_subtracted_outside_the_calibrated_times(t):
    calibration = hand_made(*GRIDS["vp-linear"], SHIFTS)
    shift = calibration.at(torch.tensor([0.125, t, 0.875], dtype=torch.float64))
    assert torch.equal(shift, torch.stack([SHIFTS[0], 0 * SHIFTS[0], SHIFTS[3]]))


def test_a_single_time_is_its_own_range():
    calibration = hand_made(VPLinear(), [0.5], SHIFTS[:1])
    shift = calibration.at(torch.tensor([0.5, 0.51, 0.49, 0.5], dtype=torch.float64))
    assert torch.equal(shift, torch.stack([SHIFTS[0], 0 * SHIFTS[0], 0 * SHIFTS[0], SHIFTS[0]]))


@pytest.mark.parametrize("t", [1.01, -0.01, math.nan, math.inf])
def test_times_outside_the_schedule_are_refused(t):
    calibration = hand_made(*GRIDS["vp-linear"], SHIFTS)
    with pytest.raises(InputError, match=f"expected 0 <= t <= 1, got {t:g}"):
        calibration.at(torch.tensor([0.5, t], dtype=torch.float64))


def test_a_time_that_went_through_float32_is_inside():
    ends = torch.tensor([0.1, 0.7], dtype=torch.float64)
    calibration = hand_made(VPLinear(), ends, SHIFTS[:2])
    assert bool((ends.float().double() != ends).all())
    assert largest(calibration.at(ends.float()) - SHIFTS[:2]) < 1e-5


def test_nothing_is_certified_between_times():
    made = hand_made(*GRIDS["vp-linear"], SHIFTS)
    weights = torch.tensor([1.0, 1.0, 0.5, 0.0], dtype=torch.float64)
    calibration = replace(made, parts=(replace(made.constant, weights=weights),))
    t = torch.tensor([0.1, 0.125, 0.2, 0.25, 0.3, 0.5, 0.6, 0.875], dtype=torch.float64)
    expected = [0.0, 1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 0.0]
    assert calibration.certified_gain(t).tolist() == expected
    assert Calibrated(Recorder(), calibration).certified_gain(t).tolist() == expected


class Recorder:
    """A network that predicts twice its input and keeps what it was called with."""

    def __init__(self):
        self.calls = []

    def __call__(self, *arguments):
        self.calls.append(arguments)
        return 2 * arguments[0]


@pytest.mark.parametrize(
    ("schedule", "times"), [(VPLinear(), [0.0, 0.5]), (RectifiedFlow(), [0.0, 0.5, 1.0])]
)
def test_a_time_of_infinite_log_snr_does_not_spoil_its_neighbours(schedule, times):
    shifts = SHIFTS[: len(times)]
    calibration = hand_made(schedule, times, shifts)
    at = calibration.at(torch.tensor([0.0, 0.25, 0.5], dtype=torch.float64))
    assert torch.equal(at, shifts[[0, 1, 1]])
    at_end = calibration.at(torch.tensor([times[-1]], dtype=torch.float64))
    assert torch.equal(at_end, shifts[-1:])


def test_calibrated_subtracts_the_shift():
    calibration = hand_made(*GRIDS["vp-linear"], SHIFTS)
    x_t = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    t = torch.tensor([0.25, 0.875], dtype=torch.float64)
    y = Calibrated(Recorder(), calibration)(x_t, t)
    assert torch.equal(y, 2 * x_t - SHIFTS[[1, 3]])
    assert not torch.equal(y, 2 * x_t + SHIFTS[[1, 3]])


def test_calibrated_takes_one_time_for_all():
    calibration = hand_made(*GRIDS["discrete"], SHIFTS)
    x_t = torch.ones(3, 2, dtype=torch.float64)
    y = Calibrated(Recorder(), calibration)(x_t, torch.tensor(3))
    assert torch.equal(y, 2 * x_t - SHIFTS[2])


def test_calibrated_mends_the_network_it_was_made_for():
    network = KnownPixels(fading_bias)
    calibration = calibrate(network, SCHEDULE, images=images(20), times=TIMES)
    x_t, t = images(30, first=100), torch.full((30,), 0.375, dtype=torch.float64)
    exact = KnownPixels(lambda t, x_0: 0 * x_0)(x_t, t)
    assert largest(network(x_t, t) - exact) > 0.1
    mended = Calibrated(network, calibration)(x_t, t)
    assert largest(mended - exact) < 1e-10 * largest(exact)  # rounding of predictions of this size


def test_calibrated_passes_a_condition_only_when_given_one():
    network = Recorder()
    calibrated = Calibrated(network, hand_made(*GRIDS["vp-linear"], SHIFTS))
    x_t, t, label = torch.ones(1, 2), torch.tensor([0.5]), torch.tensor([7])
    calibrated(x_t, t)
    calibrated(x_t, t, label)
    calibrated(x_t, t, condition=label)
    assert [len(call) for call in network.calls] == [2, 3, 3]
    assert network.calls[1][2] is label
    assert network.calls[2][2] is label


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_calibrated_keeps_the_networks_dtype(dtype):
    calibrated = Calibrated(Recorder(), hand_made(*GRIDS["vp-linear"], SHIFTS))
    y = calibrated(torch.ones(1, 2, dtype=dtype), torch.tensor([0.25]))
    assert y.dtype == dtype
    assert torch.equal(y, 2 - SHIFTS[1:2].to(dtype))


@pytest.mark.parametrize("shape", [(1, 3), (4, 2, 2), (2, 1)])
def test_calibrated_refuses_other_shapes(shape):
    network = Recorder()
    calibrated = Calibrated(network, hand_made(*GRIDS["vp-linear"], SHIFTS))
    with pytest.raises(InputError, match=r"expected images of shape \(2,\), got"):
        calibrated(torch.ones(shape), torch.tensor([0.5]))
    assert network.calls == []


def test_calibrated_refuses_times_outside_the_schedule():
    calibrated = Calibrated(Recorder(), hand_made(*GRIDS["vp-linear"], SHIFTS))
    with pytest.raises(InputError, match="time outside the schedule"):
        calibrated(torch.ones(1, 2), torch.tensor([1.1]))


def with_nan(x_0):
    x_0 = x_0.clone()
    x_0[-1, ..., 0] = torch.nan
    return x_0


REFUSED_IMAGES = {
    "one image": (lambda: images(1), "at least two, got 1"),
    "no batches": (lambda: [], "at least two, got 0"),
    "NaN": (lambda: with_nan(images(4)), "finite values, got NaN or infinity"),
    "infinity": (lambda: images(4) / 0, "finite values, got NaN or infinity"),
    "integers": (lambda: images(4).long(), r"floating-point batches .* of torch.int64"),
    "no image dimension": (lambda: torch.ones(4), r"floating-point batches .*, got \(4,\)"),
    "not a tensor": (lambda: ["a.png"], "floating-point batches .*, got str"),
    "an iterator": (lambda: iter([images(4)]), "got list_iterator, which can be read only once"),
    "changing shapes": (
        lambda: [images(4), images(4).reshape(4, 1, 4, 3)],
        r"shape \(1, 3, 4\) throughout, got \(1, 4, 3\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED_IMAGES)
def test_bad_images_are_refused(name):
    make, message = REFUSED_IMAGES[name]
    with pytest.raises(InputError, match=message):
        calibrate(imperfect, SCHEDULE, images=make(), times=TIMES)


def test_good_images_are_not():
    for good in (images(2), [images(1), images(1, first=1)], images(2, dtype=torch.float32)):
        assert calibrate(imperfect, SCHEDULE, images=good, times=TIMES).shape == SHAPE


def nan_late(x_t, t):
    return torch.where(along_batch(t == 0.375, x_t), torch.nan, x_t)


def infinite(x_t, t):
    return x_t / 0


@pytest.mark.parametrize(
    ("network", "message"),
    [(nan_late, "prediction at t=0.375$"), (infinite, "prediction at t=0.5$")],
)
def test_a_prediction_that_is_not_finite_names_its_time(network, message):
    with pytest.raises(NonFiniteError, match=message):
        calibrate(network, SCHEDULE, images=images(4), times=TIMES)


def test_a_prediction_of_another_shape_is_refused():
    with pytest.raises(InputError, match=r"shape \(4, 1, 3, 4\), got \(4, 3, 4\)"):
        calibrate(lambda x_t, t: x_t[:, 0], SCHEDULE, images=images(4), times=TIMES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 0}, "draws: expected at least 1, got 0"),
        ({"seed": -1}, "seed: expected at least 0, got -1"),
        ({"times": [0.5, 2.0]}, "times outside the schedule: .* got 2"),
        ({"times": []}, "times: expected a list of them"),
        ({"times": [0.5, 0.5]}, "times: expected distinct ones"),
    ],
)
def test_bad_options_are_refused_before_the_network_runs(options, message):
    network = Recorder()
    with pytest.raises(InputError, match=message):
        calibrate(network, SCHEDULE, **{"images": images(4), "times": TIMES} | options)
    assert network.calls == []


OWN = {"schedule": TABLE, "target": NOISE, "shape": (2,), "fingerprint": "abc"}
OTHERS = [
    ({"target": VELOCITY}, "another target: expected noise, got velocity"),
    ({"shape": (3,)}, r"another image shape: expected \(2,\), got \(3,\)"),
    ({"schedule": VPLinear()}, "another schedule: expected DiscreteSchedule.*, got VPLinear"),
    (
        {"schedule": DiscreteSchedule([0.99, 0.95, 0.8, 0.5, 0.21, 0.05])},
        "another schedule: its table differs",
    ),
    ({"fingerprint": "abd"}, "another network: expected abc, got abd"),
]


@pytest.mark.parametrize(("other", "message"), OTHERS, ids=[m.split(":")[0] for _, m in OTHERS])
def test_a_calibration_refuses_other_networks(other, message):
    calibration = hand_made(*GRIDS["discrete"], SHIFTS)
    with pytest.raises(InputError, match=message):
        calibration.require(**OWN | other)


def test_a_calibration_accepts_its_own_network():
    hand_made(*GRIDS["discrete"], SHIFTS).require(**OWN)


def test_options_that_do_not_exist_are_refused():
    with pytest.raises(TypeError, match="oder"):
        calibrate(imperfect, SCHEDULE, images=images(4), times=TIMES, oder=1)


def test_a_target_may_be_named_and_times_may_be_counted():
    network = KnownPixels(fading_bias, VELOCITY)
    options = {"images": images(20), "times": 5}
    named = calibrate(network, SCHEDULE, target="velocity", **options)
    assert torch.equal(named.times, SCHEDULE.times(SCHEDULE.grid(5)))
    assert torch.equal(named.shift, calibrate(network, SCHEDULE, target=VELOCITY, **options).shift)
    with pytest.raises(InputError, match=r"expected one of noise, .*, got 'nois'"):
        calibrate(network, SCHEDULE, target="nois", **options)


def test_a_number_is_one_time_for_all():
    calibrated = Calibrated(Recorder(), hand_made(*GRIDS["discrete"], SHIFTS))
    x_t = torch.ones(3, 2, dtype=torch.float64)
    expected = 2 * x_t - SHIFTS[2]
    for t in (3, 3.0, torch.tensor(3), torch.tensor([3]), torch.tensor([3, 3, 3])):
        assert torch.equal(calibrated(x_t, t), expected)
    assert [len(call[1]) for call in calibrated.predict.calls[:2]] == [3, 3]
    with pytest.raises(InputError, match=r"one time or one for each of 3 images, got \(2,\)"):
        calibrated(x_t, torch.tensor([3, 3]))


def test_a_calibrated_module_is_a_module():
    layer = torch.nn.utils.skip_init(torch.nn.Linear, 2, 2)
    network = Calibrated(lambda x_t, t: layer(x_t), hand_made(*GRIDS["discrete"], SHIFTS))
    assert not list(network.parameters())
    network = Calibrated(layer, hand_made(*GRIDS["discrete"], SHIFTS))
    assert [name for name, _ in network.named_parameters()] == ["predict.weight", "predict.bias"]


def test_a_calibration_is_printed_in_a_few_lines():
    calibration = calibrate(
        imperfect, SCHEDULE, images=images(20), times=TIMES, order=1,
        provenance={"checkpoint": "<mine>"},
    )  # fmt: skip
    lines = repr(calibration).splitlines()
    assert len(lines) < 12
    assert max(len(line) for line in lines if "warning" not in line) < 100
    assert "<mine>" in repr(calibration)
    assert "&lt;mine&gt;" in calibration._repr_html_()
    assert "<mine>" not in calibration._repr_html_()


def test_rows_of_several_times_have_each_the_correction_of_its_own():
    """Also where the last time is the first."""
    calibration = calibrate(
        imperfect, SCHEDULE, images=images(20) / 50, times=TIMES, policy=UNSHRUNK
    )
    t = torch.tensor([TIMES[0], TIMES[-1], TIMES[0]], dtype=torch.float64)
    x_t = images(3) / 50
    together = calibration.correction(x_t, t, x_t)
    for i in range(3):
        alone = calibration.correction(x_t[i : i + 1], t[i : i + 1], x_t[i : i + 1])
        torch.testing.assert_close(together[i], alone[0])


def test_a_calibration_is_saved_and_loaded(tmp_path):
    calibration = calibrate(imperfect, SCHEDULE, images=images(20), times=TIMES, order=1)
    calibration.save(str(tmp_path / "c.safetensors"))
    back = Calibration.load(tmp_path / "c.safetensors")
    assert torch.equal(back.shift, calibration.shift)
    assert torch.equal(back.slopes.pixel, calibration.slopes.pixel)
    assert back.summary() == calibration.summary()
    with pytest.raises(InputError, match="there is none"):
        Calibration.load(tmp_path / "d.safetensors")


def test_the_plain_average_is_told_at_as_many_evaluations():
    """Of twice as many draws, half of the energy of one."""
    once, twice = (
        calibrate(imperfect, SCHEDULE, images=images(40) / 50, times=TIMES, draws=draws)
        for draws in (1, 2)
    )
    assert torch.allclose(twice.plain_error_energy, once.plain_error_energy / 2, rtol=1e-9)


def parts_of_one(value):
    """What a dataclass holds, by name; tensors as lists."""
    found = {f.name: getattr(value, f.name) for f in fields(value)}
    return {k: v.tolist() if isinstance(v, torch.Tensor) else v for k, v in found.items()}


def test_every_number_comes_back_in_its_own_place(tmp_path):
    """All of them different, so that none can stand for another."""
    n = torch.arange(4, dtype=torch.float64)
    plain = hand_made(*GRIDS["vp-linear"], SHIFTS, 0.5)
    constant = replace(
        plain.constant, weights=n / 8 + 0.1, gains=n + 10, certificates=n + 20, bands=2
    )
    slopes = Slopes(
        torch.ones(4, 2).double(), torch.ones(4, 2, 2).double(), None, ("whole",) * 4, n + 30, n + 40,
        noise_energy=torch.stack([n + 50, n + 60], 1),
    )  # fmt: skip
    classes = ClassShift(
        torch.ones(4, 3, 2).double(), torch.full((4, 3), 0.5).double(), n + 70, n + 80
    )
    sizes = [tuple(Estimate(k + i, k + i - 1, k + i + 2) for i in range(4)) for k in (100.0, 200.0)]
    whole = replace(
        plain, parts=(constant, slopes, classes), total_certificate=1.5, eta_sq=sizes[0],
        eta_sq_of_set=sizes[1], error_energy=n + 300, plain_error_energy=n + 400,
        mean_image=torch.tensor([0.1, 0.2]).double(), doubts=("a doubt", "another"),
        choices=tuple(Choice("scalar", 2, k + 1) for k in range(4)),
        line_check=tuple(LineComparison(k, k + 1.0, k + 2.0, k + 3.0, k + 4.0, 5) for k in n.tolist()),
    )  # fmt: skip
    whole.save(tmp_path / "c.safetensors")
    back, before = Calibration.load(tmp_path / "c.safetensors"), parts_of_one(whole)
    after = parts_of_one(back)
    for name in before.keys() - {"parts"}:
        assert after[name] == before[name], name
    for kept, given_part in zip(back.parts, whole.parts, strict=True):
        assert parts_of_one(kept) == parts_of_one(given_part)
