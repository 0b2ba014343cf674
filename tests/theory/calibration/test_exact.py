"""Exact certificates: of the very correction, on other images, in the range, at their level."""

import math
from dataclasses import replace

import pytest
import torch
from scipy.stats import binom

from tests.draws import normal
from tests.refusals import refusal
from tests.theory.finite_data import SCHEDULE, TIMES, FiniteDataModel, drawn
from theory.calibration.exact import PILOT, _bounds, _without_rounding, calibrate_exactly
from theory.calibration.exact_certificate import ExactCertificate
from theory.calibration.held_out import HeldOut
from theory.calibration.network import Calibrated
from theory.calibration.procedure import calibrate
from theory.calibration.result import Calibration
from theory.calibration.validation import CLIPPED, WHOLE, validate
from theory.diffusion.data_range import DataRange, error_scale
from theory.diffusion.likelihood_bound import gain_weights
from theory.diffusion.targets import DATA, EDM_RAW, FLOW, NOISE, SCORE, VELOCITY, data_and_noise
from theory.estimators.parts import Rules
from theory.estimators.time_grid import TimeGrid
from theory.forward.halves import two_halves
from theory.forward.images import ImageSet
from theory.forward.survey import survey
from theory.statistics.betting import betting_lower_bounds
from theory.statistics.intervals import LEVEL
from theory.statistics.neyman_allocation import Goal
from theory.statistics.shrinkage import CERTIFIED, SHRUNK, UNSHRUNK
from theory.support.errors import InputError

RANGE = DataRange(-1.0, 1.0)
WRONG, RIGHT = FiniteDataModel(0.25), FiniteDataModel()


def certified(network=WRONG, n=400, seed=0, **options):
    options = {"images": drawn(n, seed), "times": TIMES, "data_range": RANGE, "order": 0} | options
    return calibrate_exactly(network, SCHEDULE, target=network.target, seed=seed, **options)


def gained(network, calibration, n=4000):
    """The mean gain beyond clipping, on images of its own, (T,)."""
    found = validate(network, calibration, images=drawn(n, 99), batch_size=n)
    return torch.tensor([estimate.value for estimate in found.gain()], dtype=torch.float64)


@pytest.mark.parametrize("target", [NOISE, DATA, SCORE, VELOCITY, FLOW, EDM_RAW], ids=repr)
@pytest.mark.parametrize("order", [0, 1])
def test_a_gain_that_is_large_is_certified_and_is_there(target, order):
    network = FiniteDataModel(0.25, target)
    calibration = certified(network, order=order)
    bounds = calibration.certified_gain(calibration.times)
    assert (bounds > 0).all()
    assert (bounds <= gained(network, calibration)).all()
    assert calibration.total_certificate > 0


def test_limits_are_the_largest_steps_whatever_the_batches():
    whole, split = (
        certified(n=80, order=1, policy=UNSHRUNK, batch_size=size).exact.limits for size in (80, 7)
    )
    assert whole.flatten(1).any(1).all()
    assert torch.allclose(whole, split, rtol=1e-9)


def test_a_step_is_that_of_the_clipped_prediction_by_hand():
    """3 is clipped to 1, of which half is taken off, or a quarter at most; -0.4 loses half of it."""
    at = TimeGrid(SCHEDULE, torch.tensor(TIMES).double()).around(torch.tensor([0.4]).double())
    y, most = torch.tensor([[3.0, 3.0, -0.4]]).double(), torch.tensor([1.0, 0.25, 1.0]).double()
    exact = ExactCertificate.unjudged(RANGE, most.expand(3, 3).contiguous())
    subtracted = exact.correction(y, lambda inside: inside / 2, lambda x: x.clamp(-1, 1), at)
    assert torch.allclose(y - subtracted, torch.tensor([[0.5, 0.75, -0.2]]).double())


def test_the_certificate_is_of_what_is_subtracted():
    calibration = certified()
    fifth = replace(calibration.constant, shift=calibration.shift / 5)
    weaker = replace(calibration, parts=(fifth,))
    assert (gained(WRONG, weaker) < calibration.certified_gain(calibration.times)).any()


def by_class(x_t, t, label):
    """Too bright for one class, too dark for the other."""
    bright, dark = (FiniteDataModel(error)(x_t, t) for error in (0.4, -0.4))
    return torch.where((label > 0)[:, None, None, None], bright, dark)


def test_each_image_is_judged_under_its_own_label():
    labels = torch.randint(2, (400,), generator=torch.Generator().manual_seed(0))
    calibration = calibrate_exactly(
        by_class, SCHEDULE, data_range=RANGE, images=drawn(400), times=TIMES, conditions=labels,
        classes=2, order=0,
    )  # fmt: skip
    assert (calibration.class_shift.certificates > 0).all()
    assert (calibration.exact.bounds > 0).all()


def test_what_clipping_gains_is_not_counted():
    network = FiniteDataModel(1.5)
    calibration = certified(network, data_range=DataRange(-0.601, 0.601))
    found = validate(network, calibration, images=drawn(1000, 99))
    bounds = calibration.certified_gain(calibration.times)
    assert (found.clipping_gains.mean(0) > bounds).all()
    assert (bounds <= found.gains.mean(0)).all()
    plain = validate(network, replace(calibration, exact=None), images=drawn(1000, 99))
    assert plain.clipping_gains.eq(0).all()
    unclipped = plain.losses - found.losses
    assert torch.allclose(unclipped, found.clipping_gains)
    assert found.clipping_bound_gain().value > 0
    assert torch.equal(found.shift_gains, found.gains), "there is nothing but the shift"


@pytest.mark.parametrize("order", [0, 1])
def test_gains_are_from_the_clipped_loss_to_that_of_the_calibrated_network(order):
    """On the same noise: the loss of the calibrated network is the clipped one's less the gain."""
    network = FiniteDataModel(1.5)
    calibration = certified(network, order=order, data_range=DataRange(-0.601, 0.601))
    found = validate(network, calibration, images=drawn(50, 99))

    def loss_of(corrected):
        better = Calibrated(network, corrected)
        return validate(better, replace(calibration, exact=None), images=drawn(50, 99)).losses

    assert found.clipping_gains.abs().min() > 0.1
    torch.testing.assert_close(found.losses - found.gains, loss_of(calibration))
    torch.testing.assert_close(found.losses - found.shift_gains, loss_of(calibration.shift_alone()))


def test_a_description_is_held_against_the_network_as_it_is():
    calibration = certified(FiniteDataModel(1.5))
    scales = error_scale(SCHEDULE, NOISE, calibration.times).square() * 6
    for scale, line, eta in zip(
        scales.tolist(), calibration.line_check, calibration.eta_sq, strict=True
    ):
        assert line.network > 0.95 * 1.5**2 * scale
        assert eta.value == pytest.approx(1.5**2 * scale, rel=0.1)
    assert "predicts worse than a straight line" in calibration.warning()


def test_bounds_hold_together_with_that_of_the_sum():
    gains, worth = normal(0, 50, 3).clamp(-4, 4) + 2, torch.tensor([1.0, 2.0, 0.5]).double()
    largest = torch.full((3,), 6.0, dtype=torch.float64)
    values = torch.cat([gains, (gains @ worth)[:, None]], 1)
    values = values[torch.randperm(50, generator=torch.Generator().manual_seed(0))]
    ends = torch.tensor([6.0, 6.0, 6.0, 21.0], dtype=torch.float64)
    expected = betting_lower_bounds(values, -ends, ends, 4, 50)
    assert torch.allclose(_bounds(gains, largest, Rules(UNSHRUNK, 4, worth), 0), expected)


def test_every_time_and_the_sum_are_statements(monkeypatch):
    seen = []

    def bounds(values, least, most, statements, planned):
        seen.append(statements)
        return torch.zeros(values.shape[1], dtype=torch.float64)

    monkeypatch.setattr("theory.calibration.exact.betting_lower_bounds", bounds)
    certified(n=40)
    assert seen == [len(TIMES) + 1]


def false_certificates(repetitions, n, **options):
    """How often a network that is right gets a certificate, though every correction harms it."""
    found = [certified(RIGHT, n, seed, policy=UNSHRUNK, **options) for seed in range(repetitions)]
    return sum(
        c.total_certificate > 0 or bool((c.certified_gain(c.times) > 0).any()) for c in found
    )


def test_a_right_network_is_certified_no_gain():
    repetitions = 60
    most = binom.isf(1e-6, repetitions, 1 - LEVEL)
    assert false_certificates(repetitions, 40) <= most


def test_nothing_that_judges_has_made_the_correction():
    images = drawn(40)
    calibration = certified(images=images)
    assert calibration.provenance["images"] == calibration.provenance["images_judging"] == 20
    assert len(calibration.image_ids) == 40
    other = torch.cat([images, drawn(2, 5)])
    assert validate(WRONG, calibration, images=other).n == 2


class Named:
    """Images with identities that do not depend on their values."""

    def __init__(self, images):
        self.images, self.ids, self.groups = images, torch.arange(len(images)), range(len(images))

    def __iter__(self):
        return iter(self.images.split(16))


def test_what_belongs_together_is_on_one_side():
    """Films of four frames each; one frame of a film judges, and none that made the correction."""
    films = [k // 4 for k in range(80)]
    calibration = certified(n=80, groups=films)
    assert calibration.provenance["images"] == 40
    assert calibration.provenance["images_judging"] == 10


def test_the_other_half_changes_bounds_alone():
    images = drawn(40)
    judges = two_halves(survey(ImageSet(Named(images))), 0)[1]
    others = torch.where(judges[:, None, None, None], drawn(40, 1), images)
    one, two = (certified(images=Named(some), policy=UNSHRUNK) for some in (images, others))
    assert torch.equal(one.shift, two.shift)
    assert torch.equal(one.exact.limits, two.exact.limits)
    assert not torch.equal(one.exact.bounds, two.exact.bounds)


@pytest.mark.parametrize("order", [0, 1])
def test_predictions_keep_to_the_range(order):
    tight = DataRange(-0.601, 0.601)
    network = FiniteDataModel(1.0)
    better = Calibrated(network, certified(network, order=order, data_range=tight))
    images = drawn(100, 7)
    for t in (0.2, 0.5, 0.6, 0.9):
        time = torch.full((1,), t, dtype=torch.float64)
        x_t = SCHEDULE.alpha(time) * images + SCHEDULE.sigma(time) * normal(8, *images.shape)
        x_0, _ = data_and_noise(better(x_t, time), x_t, time, NOISE, SCHEDULE)
        raw, _ = data_and_noise(network(x_t, time), x_t, time, NOISE, SCHEDULE)
        assert x_0.abs().amax() <= 0.601 + 1e-9
        assert raw.abs().amax() > 0.7


def test_where_nothing_is_to_clip_the_shift_is_subtracted():
    calibration = certified()
    plain = replace(calibration, exact=None)
    x_t, t = drawn(10), torch.tensor([0.4], dtype=torch.float64)
    y = RIGHT(x_t, t)
    assert torch.allclose(
        calibration.correction(x_t, t, y), plain.correction(x_t, t, y).expand_as(y)
    )


def test_gains_beyond_what_an_image_can_gain_are_refused():
    calibration = certified(n=40)
    with pytest.raises(InputError, match="betting: expected values within the bounds"):
        largest = torch.full((3,), 1e-6, dtype=torch.float64)
        rules = Rules(UNSHRUNK, 4, calibration.gains)
        _bounds(torch.ones(5, 3, dtype=torch.float64), largest, rules, 0)


def test_files_keep_the_certificate(tmp_path):
    calibration = certified(n=80, order=1)
    calibration.save(tmp_path / "c.safetensors")
    loaded = Calibration.load(tmp_path / "c.safetensors")
    assert loaded.exact.data_range == RANGE
    assert torch.equal(loaded.exact.bounds, calibration.exact.bounds)
    assert torch.equal(
        loaded.certified_gain(loaded.times), calibration.certified_gain(loaded.times)
    )
    assert "(95 %, exact)" in loaded.summary()["certified"]
    assert loaded.summary()["made from"].startswith("40 images")
    asymptotic = calibrate(WRONG, SCHEDULE, images=drawn(80), times=TIMES)
    assert "(95 %, asymptotic)" in asymptotic.summary()["certified"]
    assert (asymptotic.exact, asymptotic.certainty) == (None, "asymptotic")


def test_times_at_which_nothing_is_applied_gain_nothing():
    """Rounding is no gain, however large the error that clipping takes away."""
    calibration = certified(FiniteDataModel(1e-5), n=60, images=drawn(60).float())
    assert not calibration.constant.applied.any()
    assert calibration.exact.bounds.eq(0).all()
    assert calibration.total_certificate == 0


def test_times_in_doubt_are_left_alone_by_the_default_policy():
    small = FiniteDataModel(0.3)
    careful, whole = (certified(small, 80, policy=policy) for policy in (CERTIFIED, SHRUNK))
    assert whole.exact.bounds.lt(0).all() and whole.total_certificate < 0
    assert whole.exact.limits.any()
    assert careful.exact.bounds.eq(0).all() and careful.total_certificate == 0
    assert careful.constant.applied.any(), "the half that made it was certain"
    assert careful.weights.eq(0).all() and careful.summary()["shift"] == "applied at 0 of 3 times"
    x_t, t = drawn(5), torch.tensor(TIMES[:1], dtype=torch.float64)
    assert careful.correction(x_t, t, small(x_t, t)).abs().max() < 1e-12
    assert whole.correction(x_t, t, small(x_t, t)).abs().max() > 0.01
    held_out = validate(small, careful, images=drawn(40, 99).float())
    assert held_out.gains.eq(0).all() and held_out.shift_gains.eq(0).all()


def test_the_total_is_of_what_is_applied():
    calibration = certified()
    weights = gain_weights(SCHEDULE, NOISE, calibration.times)
    assert calibration.total_certificate == pytest.approx(
        (calibration.exact.bounds @ weights).item()
    )
    joint = certified(policy=SHRUNK)
    assert joint.total_certificate != pytest.approx((joint.exact.bounds @ weights).item())


def test_a_gain_larger_than_any_can_be_is_refused():
    gains = {WHOLE: torch.ones(2, 1).double(), CLIPPED: torch.zeros(2, 1).double()}
    found = HeldOut(torch.ones(2, 1).double(), gains, (), ())
    with refusal("a gain is larger than any can be"):
        _without_rounding(found, torch.full((1,), 0.5, dtype=torch.float64))
    exactly = _without_rounding(found, torch.full((1,), 1 - 1e-12, dtype=torch.float64))
    assert exactly.eq(1 - 1e-12).all()


def test_evaluations_are_all_counted():
    counted = []
    calibration = certified(n=100, draws=2, on_progress=counted.append)
    assert calibration.provenance["evaluations"] == sum(counted) == 3 * (200 + PILOT)


def test_a_part_of_it_is_not_what_was_certified():
    calibration = certified(order=1)
    assert calibration.shift_alone().certified_gain(calibration.times).eq(-math.inf).all()
    constant = certified()
    assert constant.shift_alone() is constant


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"data_range": DataRange(-0.1, 0.1)}, "range: expected images from -0.1 to 0.1"),
        ({"images": drawn(3)}, "images: expected at least four different ones, got 3"),
        ({"images": drawn(3).repeat(5, 1, 1, 1)}, "at least four different ones, got 3"),
        ({"reference": RIGHT}, "exact certificate: expected no reference"),
        ({"goal": Goal(1000)}, "exact certificate: expected no goal"),
        (
            {"times": [0.0, 0.5]},
            "range: expected times at which the prediction tells x_0, got t = 0",
        ),
    ],
)
def test_what_cannot_be_certified_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        certified(**options)


@pytest.mark.parametrize(("least", "most"), [(1.0, -1.0), (0.0, 0.0), (math.nan, 1.0), (0.0, 1e9)])
def test_ranges_are_two_increasing_numbers(least, most):
    with pytest.raises(InputError, match="range: expected"):
        DataRange(least, most)


def test_limits_must_fit():
    calibration = certified(n=40)
    negative = replace(calibration.exact, limits=calibration.exact.limits - 1)
    with pytest.raises(InputError, match="calibration: expected exact limits of at least 0"):
        replace(calibration, exact=negative)
    limits, bounds = calibration.exact.limits[:2], calibration.exact.bounds[:2]
    short = replace(calibration.exact, limits=limits, bounds=bounds)
    with pytest.raises(InputError, match="calibration: exact limits"):
        replace(calibration, exact=short)


def test_noise_energies_are_of_predictions_that_are_not_clipped():
    calibration = certified(order=1)
    assert calibration.noise_energy is None
    with refusal("order 1 without an exact certificate"):
        calibration.noise_energy_at(calibration.times)
    assert replace(calibration, exact=None).noise_energy is not None


def test_a_step_of_x_0_is_at_most_the_width_of_the_range():
    """m (2 R - m) is largest at m = R = 2: 4."""
    limits = torch.full((1, 1, 1, 1), 3.0, dtype=torch.float64)
    unjudged = ExactCertificate.unjudged(DataRange(-1.0, 1.0), limits)
    assert unjudged.largest_gains(torch.ones(1, dtype=torch.float64)).item() == 4
