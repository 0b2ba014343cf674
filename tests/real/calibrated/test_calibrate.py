"""The shipped network on real images: the estimator's gain, the file, and the held-out proof."""

from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from real.calibrated.calibrate import calibrate_checkpoint, calibration_summary
from real.images.opening import open_images
from theory.calibration.exact_certificate import ExactCertificate
from theory.calibration.network import Calibrated
from theory.calibration.procedure import calibrate
from theory.calibration.result import Calibration
from theory.calibration.validation import validate
from theory.diffusion.data_range import DataRange
from theory.estimators.class_shift import ClassShift
from theory.estimators.control_variates import PLAIN, REGRESSION
from theory.estimators.slopes import WIDEST_GAP
from theory.statistics.neyman_allocation import Goal
from theory.statistics.shrinkage import CERTIFIED, UNSHRUNK
from theory.support.errors import InputError


@pytest.fixture(scope="module")
def measured(digits_checkpoint):
    images = open_images("digits", "calibration", digits_checkpoint.shape)
    return calibrate_checkpoint(
        digits_checkpoint, images, [400, 800, 999], seed=0, draws=1, device="cpu", order=0
    )


def test_error_is_far_below_the_plain_averages(measured):
    at_400, at_800, _ = (measured.plain_error_energy / measured.error_energy).tolist()
    assert at_400 >= 15
    assert at_800 >= 500


def test_the_ratio_that_is_told_is_the_plain_averages_error_over_ours(measured):
    """The geometric mean over times; here far above 1."""
    times = len(measured.times)
    product = (measured.plain_error_energy / measured.error_energy).prod().item()
    ratio = product ** (1 / times)
    assert ratio > 10
    (said,) = (line for line in calibration_summary(measured) if line.startswith("error energy"))
    assert said.startswith("error energy of the plain average over that of the shift")
    assert f": {ratio:,.3g} (geometric mean)" in said


def test_one_time_has_no_mean_and_is_told_as_one(digits_checkpoint):
    images = open_images("digits", "calibration", digits_checkpoint.shape)
    made = calibrate_checkpoint(digits_checkpoint, images, [999], order=0, certificate="exact")
    assert int(made.exact.applied.sum()) == 1
    said = "\n".join(calibration_summary(made))
    assert "a gain at 1 of the one time at which it is applied" in said
    assert "shift: applied at 1 of 1 time" in said
    assert "error energy of the plain average" in said and "geometric mean" not in said


def test_held_out_loss_falls_at_high_noise(digits_checkpoint, measured):
    images = open_images("digits", "held-out", digits_checkpoint.shape)
    result = validate(digits_checkpoint.predict, measured, images=images, seed=0)
    assert result.left_out == 0
    assert result.n == 397
    assert result.gain()[2].lower > 0
    assert all(gain.upper >= 0 for gain in result.gain())


def test_training_and_held_out_images_are_not_the_calibrations(digits_checkpoint, measured):
    images = open_images("digits", "calibration", digits_checkpoint.shape)
    with pytest.raises(InputError, match="not seen, got 0"):
        validate(digits_checkpoint.predict, measured, images=images)


def test_plain_average_would_harm(digits_checkpoint):
    """The published estimator, unshrunk, on the same images: the control of the gain above."""
    shape = digits_checkpoint.shape
    calibration = calibrate(
        digits_checkpoint.predict, digits_checkpoint.schedule, estimator=PLAIN, policy=UNSHRUNK,
        images=open_images("digits", "calibration", shape), times=[800],
    )  # fmt: skip
    result = validate(
        digits_checkpoint.predict, calibration, images=open_images("digits", "held-out", shape)
    )
    assert result.gain()[0].upper < 0


def test_a_budget_is_kept_and_spent_where_it_counts(digits_checkpoint):
    images = open_images("digits", "calibration", digits_checkpoint.shape)
    calibration = calibrate_checkpoint(
        digits_checkpoint, images, digits_checkpoint.schedule.grid(8), seed=0,
        goal=Goal(evaluations=3000), device="cpu",
    )  # fmt: skip
    spent = calibration.provenance["evaluations"]
    assert 2700 < spent <= 3000
    images_used = [choice.images for choice in calibration.choices]
    assert max(images_used) > 2 * min(images_used)
    assert f"{spent:,} network evaluations" in calibration_summary(calibration)[1]


def test_certified_calibration_of_few_images_does_no_harm(digits_checkpoint):
    shape, schedule = digits_checkpoint.shape, digits_checkpoint.schedule
    held_out = open_images("digits", "held-out", shape)
    few = torch.cat(list(open_images("digits", "calibration", shape)))
    for policy, harms in ((CERTIFIED, False), (UNSHRUNK, True)):
        calibration = calibrate(
            digits_checkpoint.predict, schedule, images=few[:100], times=schedule.grid(6),
            policy=policy, estimator=PLAIN if harms else REGRESSION,
        )  # fmt: skip
        result = validate(digits_checkpoint.predict, calibration, images=held_out)
        assert any(gain.upper < 0 for gain in result.gain()) == harms


def test_slopes_from_few_images_come_with_a_caution(digits_checkpoint, measured):
    images = open_images("digits", "calibration", digits_checkpoint.shape)
    sloped = calibrate_checkpoint(digits_checkpoint, images, [900, 999])
    assert sloped.slopes.applied.any()
    for key, number, few in (
        ("images", 15, True),
        ("images", 16, False),
        ("independent", 15, True),
    ):
        text = "\n".join(calibration_summary(sloped.with_provenance(**{key: number})))
        assert (f"caution: {number} independent images are few" in text) == few
    alone = measured.with_provenance(images=15)
    assert "caution" not in "\n".join(calibration_summary(alone))


def test_file_gives_back_the_same_calibration(tmp_path, measured):
    measured.save(tmp_path / "c.safetensors")
    again = Calibration.load(tmp_path / "c.safetensors")
    assert torch.equal(again.shift, measured.shift)
    assert torch.equal(again.times, measured.times)
    assert torch.equal(again.image_ids, measured.image_ids)
    assert again.schedule == measured.schedule
    assert again.target == measured.target
    assert again.eta_sq == measured.eta_sq
    assert again.provenance == measured.provenance
    assert again.choices == measured.choices
    assert torch.equal(again.certificates, measured.certificates)


def test_calibrated_network_is_its_prediction_less_the_shift(digits_checkpoint, measured):
    x_t, t = torch.zeros(3, 1, 8, 8), torch.tensor([400, 800, 999])
    with torch.no_grad():
        shifted = Calibrated(digits_checkpoint.predict, measured)(x_t, t)
        expected = digits_checkpoint.predict(x_t, t) - measured.shift.float()
    assert torch.allclose(shifted, expected, atol=1e-6)


def test_what_is_no_calibration_is_refused(tmp_path, measured):
    path = tmp_path / "c.safetensors"
    with pytest.raises(InputError, match="there is none"):
        Calibration.load(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="cannot be read"):
        Calibration.load(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="is no calibration of format"):
        Calibration.load(path)
    measured.save(path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file({"times": measured.times}, path, metadata)
    with pytest.raises(InputError, match="cannot be read"):
        Calibration.load(path)


def test_the_summary_counts_what_was_used_and_where_each_part_is_applied(digits_checkpoint):
    images = open_images("digits", "calibration", digits_checkpoint.shape, limit=64)
    made = calibrate_checkpoint(digits_checkpoint, images, [300, 600, 900])
    used = ((10, 1, "plain"), (30, 2, "regression"), (20, 2, "regression"))
    choices = tuple(
        replace(choice, images=n, draws=draws, estimator=name)
        for choice, (n, draws, name) in zip(made.choices, used, strict=True)
    )
    numbers = torch.tensor([1.0, -1.0, 2.0], dtype=torch.float64)
    constant = replace(made.constant, weights=numbers.clamp(0, 1), smoothing=0.25, bands=3)
    slopes = replace(made.slopes, kinds=("none", "pixel", "pixel"))
    of_class = ClassShift(
        shift=torch.zeros(3, 2, 1, 8, 8).double(), weights=torch.zeros(3, 2).double(), gains=numbers,
        certificates=numbers,
    )  # fmt: skip
    made = replace(
        made, choices=choices, parts=(constant, slopes, of_class),
        plain_error_energy=made.error_energy * torch.tensor([2.0, 4.0, 8.0]),
    ).with_provenance(images=64, evaluations=12345, independent=40)  # fmt: skip
    said = calibration_summary(made)
    assert said[-7:] == [
        "40 independent units in 64 images: copies, and what belongs together, count once",
        "3 times, 10 to 30 of 64 images, 12,345 network evaluations (plain, 1 draw; regression, 2 draws)",
        "error energy of the plain average over that of the shift, at as many evaluations: 4 (geometric "
        "mean)",
        "shift: applied at 2 of 3 times; the others are left alone, as no gain is certain there; smoothed "
        "over log-SNR (0.25); shrunk in 3 frequency bands",
        "slopes: none at 1, pixel at 2; off between 2 pairs of neighbouring times, more than "
        f"{WIDEST_GAP:g} apart in log-SNR: take more times",
        "classes: certain to differ at 2 times",
        "A bound that falls does not promise better samples; `quality` measures them.",
    ]


def test_the_summary_is_silent_of_what_there_is_nothing_of(digits_checkpoint):
    """The shift is applied at all times, one of two gaps is wide, and nothing is smoothed or counted once."""
    images = open_images("digits", "calibration", digits_checkpoint.shape, limit=64)
    made = calibrate_checkpoint(digits_checkpoint, images, [500, 520, 900], policy=UNSHRUNK)
    assert (made.grid.gaps > WIDEST_GAP).tolist() in ([True, False], [False, True])
    shift = replace(made.constant, weights=torch.ones(3).double(), smoothing=0.0, bands=1)
    slopes = replace(made.slopes, kinds=("pixel",) * 3)
    provenance = {key: value for key, value in made.provenance.items() if key != "independent"}
    made = replace(made, parts=(shift, slopes), provenance=provenance)
    said = calibration_summary(made)
    assert not any("independent units" in line for line in said)
    assert said[-3:-1] == [
        "shift: applied at 3 of 3 times",
        "slopes: pixel at 3; off between 1 pair of neighbouring times, more than 2 apart in log-SNR: take "
        "more times",
    ]  # fmt: skip
    near = replace(made, times=torch.tensor([500, 520, 540]))
    assert calibration_summary(near)[-2] == "slopes: pixel at 3"


@pytest.mark.parametrize(("applied", "of"), [(3, "the 3 times"), (1, "the one time")])
def test_an_exact_certificate_is_said_to_gain_where_its_bound_is_above_zero(
    measured, applied, of, digits_checkpoint
):
    count = len(measured.times)
    limits = torch.zeros(count, *digits_checkpoint.shape).double()
    limits[:applied, 0, 3, 4] = 0.5
    bounds = torch.tensor([0.25, 0.0, -1.0, *[0.0] * (count - 3)]).double()
    exact = ExactCertificate(DataRange(-1.0, 0.5), limits, bounds)
    made = replace(measured, exact=exact).with_provenance(images=64, images_judging=63)
    assert calibration_summary(made)[-2] == (
        "exact: made from 64 images, judged by betting on 63 others, x_0 clipped to [-1, 0.5]; a gain at 1 "
        f"of {of} at which it is applied"
    )


NOTHING = "No gain is certain in all from these images."
WORTH = "Certified: it gains at least 0.25 nats of the discrete bound of ddim:3 (95%, asymptotic)."


@pytest.mark.parametrize(("bound", "said"), [(0.25, WORTH), (0.0, NOTHING), (-1.0, NOTHING)])
def test_what_is_certain_in_all_is_said_first(measured, bound, said):
    made = replace(measured, total_certificate=bound).with_provenance(solver="ddim:3")
    assert calibration_summary(made)[0] == said
