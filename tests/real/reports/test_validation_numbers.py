"""What a validation's report says: of its samples, of intervals, of the times that are better."""

import torch

from real.reports.validation import _change, _intervals, _sampling, _summary
from real.solvers.sampling import Samples
from theory.statistics.intervals import Estimate


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
    assert _change({"value": 0.5, "lower": 0.25, "upper": 1.0}, ".2f") == (
        "lower by 0.50 [0.25, 1.00]"
    )
    assert _change({"value": -0.5, "lower": -1.0, "upper": 0.25}, ".2f") == (
        "higher by 0.50 [-0.25, 1.00]"
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
    assert said[-1] == (
        "denoising loss: lower at 2 of 4 times and higher at 1 (per-time interval clear of zero); "
        "at best by 50.0% (t = 2)"
    )
    assert "lower by 1.0000 [0.5000, 2.0000] nats" in said[1]
