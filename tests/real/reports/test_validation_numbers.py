"""What a validation's report says: of its samples, of intervals, of the times that are better."""

import math
from dataclasses import replace

import pytest
import torch

from real.images.base import ImageSource
from real.reports import validation_figure
from real.reports.elements import BAD, GOOD, PLAIN
from real.reports.validation import (
    _change,
    _errors,
    _intervals,
    _numbers,
    _parts,
    _samples,
    _sampling,
    _summary,
    _table,
)
from real.solvers.sampling import Samples
from tests.draws import normal
from tests.real.exact import MEAN, VARIANCE, exact_checkpoint, posterior_mean
from theory.calibration import calibrate, validate
from theory.diffusion.likelihood_bound import gain_weights
from theory.statistics.intervals import Estimate
from theory.statistics.shrinkage import SHRUNK


def test_the_change_of_samples_is_that_of_their_pixels():
    """One pixel rises by 0.5, another falls by 0.5, and two stay: 0.25 on the average."""
    before, after = (
        Samples(torch.tensor(pixels).reshape(1, 1, 2, 2), "ddim", 10, seconds)
        for pixels, seconds in (([0.0, 0.5, 0.1, 0.2], 1.0), ([0.5, 0.0, 0.1, 0.2], 2.0))
    )
    found = _sampling(before, after)
    assert found["mean_change"] == 0.25
    assert (found["seconds_before"], found["seconds_after"]) == (1.0, 2.0)
    assert (found["samples"], found["nfe"], found["solver"]) == (1, 10, "ddim")


def test_a_rise_is_a_fall_of_the_other_sign_with_its_ends_exchanged():
    assert _change({"value": 0.5, "lower": 0.25, "upper": 0.85}) == "lower by 0.50 [0.25, 0.85]"
    assert _change({"value": -0.5, "lower": -0.85, "upper": -0.25}) == "higher by 0.50 [0.25, 0.85]"


def test_what_the_shift_lowers_alone_is_in_nats_and_in_as_many_digits_as_are_known():
    alone = {"value": 54.0505, "lower": 44.0, "upper": 64.101}
    said = _parts({
        "times": [{"weight": 1.0, "slopes": "none"}], "order": 1, "shift_bound_gain_nats": alone,
        "certainty": "asymptotic", "total_certificate": 1.23456,
    })  # fmt: skip
    assert said == [
        "shift: applied at 1 of 1 time; alone it lowers the bound by 54 nats",
        "slopes: applied at 0 of 1 time",
        "certified before, from the calibration images: at least 1.235 nats",
    ]


def test_samples_are_counted_in_words_and_short_times_are_seen():
    nothing = torch.zeros(1, 1, 2, 2)
    of = {"samples": 1, "solver": "ddim", "nfe": 1, "mean_change": 0.0}
    taken = {"seconds_before": 0.0123, "seconds_after": 12.345}
    (text,) = _samples({"sampling": of | taken}, nothing, nothing, nothing).text
    assert text == (
        "1 sample by ddim at 1 network evaluation each; 0.012 s without and 12.3 s with calibration."
    )


def test_intervals_are_three_columns():
    columns = _intervals("gain", [Estimate(1.0, 0.5, 2.0), Estimate(3.0, 2.5, 4.0)])
    assert columns == {
        "gain": [1.0, 3.0], "gain_lower": [0.5, 2.5], "gain_upper": [2.0, 4.0],
    }  # fmt: skip


def row(t, gain, lower, upper, loss):
    """One time of a report."""
    return {
        "t": t, "heldout_gain": gain, "heldout_gain_lower": lower, "heldout_gain_upper": upper,
        "denoising_loss": loss, "weight": 1.0,
    }  # fmt: skip


def test_times_count_as_better_or_worse_where_the_interval_is_clear_of_zero():
    """Best is where the share of the loss is largest, and not the gain."""
    nats = {"value": 1.0, "lower": 0.5, "upper": 2.0}
    said = _summary(
        {
            "bound_gain_nats": nats, "bound_gain_bits_per_dim": nats, "warning": None,
            "images_held_out": 900, "images_left_out": 0, "images_calibration": 1000, "log_snr_from": -1.0,
            "log_snr_to": 2.0, "order": 0, "certainty": "asymptotic", "total_certificate": 0.5,
            "times": [
                row(1, 4.0, 3.0, 5.0, 100.0), row(2, 1.0, 0.5, 1.5, 2.0),
                row(3, 0.5, -1.0, 2.0, 10.0), row(4, -2.0, -3.0, -1.0, 10.0),
            ],
        }
    )  # fmt: skip
    assert said[:2] == [
        "held-out images: 900 (calibrated on 1000, none in common)",
        "likelihood bound: lower by 1.0 [0.5, 2.0] nats, lower by 1.0 [0.5, 2.0] bits/dim, "
        "log-SNR -1.0 to 2.0",
    ]
    assert said[-1] == (
        "denoising loss: lower at 2 of 4 times and higher at 1 (per-time interval clear of zero); "
        "at best by 50.0% (t = 2)"
    )
    assert "lower by 1.0 [0.5, 2.0] nats" in said[1]


TIMES = [0.2, 0.5, 0.8]
D = 2


def bound_of(validation, gains):
    """The fall of the bound that gains (n, T) make, by hand."""
    c = validation.calibration
    weights = gain_weights(c.schedule, c.target, c.times)
    return vars(Estimate.of_mean(gains @ weights, validation.units))


@pytest.fixture(scope="module")
def planted():
    """A validation of order 1 with gains of its own for each name, and its numbers."""
    checkpoint = exact_checkpoint("vp", denoiser=lambda *given: posterior_mean(*given) + 0.05)
    noise = torch.randn(80, 2, 1, 1, generator=torch.Generator().manual_seed(1))
    images = ImageSource.of("some", (MEAN + VARIANCE.sqrt() * noise).float())
    calibration = calibrate(
        checkpoint.predict, checkpoint.schedule, target=checkpoint.target,
        images=images.every_other(0), times=TIMES, order=1, policy=SHRUNK,
    )  # fmt: skip
    unseen = [0, 2, *range(1, 61, 2)]  # the first two were seen
    found = validate(checkpoint.predict, calibration, images=images.at(unseen))
    gains, shift, clipping = (
        normal(seed, 30, 3) + mean for seed, mean in ((0, 3), (1, 2), (2, -1))
    )
    found = replace(found, gains=gains, shift_gains=shift, clipping_gains=clipping)
    return found, _numbers(checkpoint, found)


def test_each_fall_of_the_bound_is_under_the_name_of_what_lowers_it(planted):
    found, numbers = planted
    assert numbers["bound_gain_nats"] == pytest.approx(bound_of(found, found.gains))
    assert numbers["shift_bound_gain_nats"] == pytest.approx(bound_of(found, found.shift_gains))
    clipping = bound_of(found, found.clipping_gains)
    assert numbers["clipping_bound_gain_nats"] == pytest.approx(clipping)
    assert clipping["value"] < 0 < numbers["bound_gain_nats"]["value"]


def test_bits_per_dimension_are_the_nats_over_the_dimension_and_ln_2(planted):
    found, numbers = planted
    bits = {k: v / (D * math.log(2)) for k, v in bound_of(found, found.gains).items()}
    assert numbers["bound_gain_bits_per_dim"] == pytest.approx(bits)
    assert numbers["dimensions"] == D
    assert (numbers["images_calibration"], numbers["images_held_out"]) == (40, 30)
    assert numbers["images_left_out"] == 2 and "units_held_out" not in numbers


def test_every_number_of_a_time_is_what_its_name_says(planted):
    found, numbers = planted
    c, slopes = found.calibration, found.calibration.slopes
    assert c.weights.gt(0).any() and not c.weights.eq(1).all()
    assert not torch.allclose(slopes.certificates, c.constant.certificates)
    for k, row in enumerate(numbers["times"]):
        gain = Estimate.of_mean(found.gains[:, k], found.units)
        expected = {
            "t": TIMES[k], "log_snr": c.schedule.log_snr(c.times)[k].item(),
            "eta_sq": found.eta_sq[k].value, "heldout_gain": gain.value,
            "heldout_gain_lower": gain.lower, "heldout_gain_upper": gain.upper,
            "denoising_loss": found.losses[:, k].mean().item(),
            "network_error": found.line_check[k].network, "line_error": found.line_check[k].line,
            "error_energy": c.error_energy[k].item(),
            "plain_error_energy": c.plain_error_energy[k].item(), "weight": c.weights[k].item(),
            "certificate": c.constant.certificates[k].item(),
            "shift_gain_expected": c.gains[k].item(),
            "slope_certificate": slopes.certificates[k].item(),
        }  # fmt: skip
        assert {name: row[name] for name in expected} == pytest.approx(expected)
        assert row["eta_sq_calibration"] == vars(c.eta_sq[k])
        assert row["eta_sq_of_set"] == vars(c.eta_sq_of_set[k])


def test_order_range_and_certificate_are_those_of_the_calibration(planted):
    found, numbers = planted
    c = found.calibration
    assert numbers["order"] == 1
    assert numbers["log_snr_from"] == c.grid.log_snr.min().item()
    assert numbers["log_snr_to"] == c.grid.log_snr.max().item()
    assert numbers["total_certificate"] == c.total_certificate
    assert numbers["certainty"] == "asymptotic"
    assert (numbers["smoothing"], numbers["bands"]) == (c.smoothing, c.bands)


def test_units_and_images_that_are_left_out_are_counted(planted):
    _, numbers = planted
    assert _summary(numbers)[0] == (
        "held-out images: 30 (calibrated on 40, none in common); 2 more were left out, as it was made "
        "from them"
    )
    grouped = _summary(numbers | {"units_held_out": 7, "images_left_out": 0})[0]
    assert grouped.endswith("none in common), 7 independent units")


def test_an_exact_certificate_comes_with_what_clipping_alone_gains():
    clipping = {"value": 2.0, "lower": 1.5, "upper": 2.5}
    said = _parts({
        "times": [{"weight": 1.0, "slopes": None}, {"weight": 0.0, "slopes": None}], "order": 0,
        "clipping_bound_gain_nats": clipping, "certainty": "exact", "total_certificate": 3.0,
    })  # fmt: skip
    assert said == [
        "shift: applied at 1 of 2 times; the others are left alone, as no gain is certain there",
        "x_0 is clipped with calibration and without; clipping alone: lower by 2.0 [1.5, 2.5] nats",
        "certified before, from the calibration images: at least 3 nats (exact)",
    ]


def test_the_table_has_every_number_of_a_time_under_its_header(planted):
    """The slopes of the second are left alone, as is the shift of the third."""
    _, numbers = planted
    first, second, third = numbers["times"]
    rows = [
        first | {"heldout_gain_lower": 1.0, "heldout_gain_upper": 2.0, "slopes": "pixel"},
        second | {"heldout_gain_lower": -1.0, "heldout_gain_upper": 2.0, "slopes": "none"},
        third | {"heldout_gain_lower": -2.0, "heldout_gain_upper": -1.0, "slopes": "whole", "weight": 0.0},
    ]  # fmt: skip
    table = _table(numbers | {"times": rows})
    tones = []
    for row, cells in zip(rows, table.rows, strict=True):
        shown = dict(zip(table.columns, cells, strict=True))
        tones.append(shown["held-out gain"].tone)
        assert {name: getattr(cell, "text", cell) for name, cell in shown.items()} == {
            "t": f"{row['t']:g}", "log-SNR": f"{row['log_snr']:.2f}", "|η|²": f"{row['eta_sq']:.2e}",
            "interval of |η|²": f"{row['eta_sq_lower']:.1e} to {row['eta_sq_upper']:.1e}",
            "held-out gain": f"{row['heldout_gain']:.2e}",
            "interval of the gain": f"{row['heldout_gain_lower']:.1e} to {row['heldout_gain_upper']:.1e}",
            "denoising loss": f"{row['denoising_loss']:.4g}",
            "error of the shift": f"{row['error_energy']:.2e}",
            "error of the plain average": f"{row['plain_error_energy']:.2e}",
            "weight of the shift": f"{row['weight']:.2f}",
            "certified gain of the shift": f"{row['certificate']:.1e}" if row["weight"] else "left alone",
            "slopes": row["slopes"],
            "certified gain of slopes":
                "left alone" if row["slopes"] == "none" else f"{row['slope_certificate']:.1e}",
        }  # fmt: skip
    assert tones == [GOOD, PLAIN, BAD]
    bare = _table({"order": 0, "times": [first | {"slopes": None}]})
    assert bare.columns == table.columns[:-2] and len(bare.rows[0]) == len(bare.columns)


def test_each_panel_draws_what_its_words_say():
    report = {"times": []}
    panels = _errors(report).panels
    assert all(panel.draw.keywords["report"] is report for panel in panels)
    assert {panel.draw.func: panel.alt.partition(",")[0] for panel in panels} == {
        validation_figure.draw_gain: "Fall of the held-out denoising loss in percent",
        validation_figure.draw_eta: "Mean error of the network",
        validation_figure.draw_error: "Error energy of the shift and of the plain average",
        validation_figure.draw_line_check: "Error of the network over that of a line in x_t",
    }
