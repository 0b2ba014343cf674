"""What a comparison's report says: every number is under the name of what it is."""

from dataclasses import replace

import pytest
import torch

from real.reports.comparison import _table, comparison_report
from real.reports.comparison_figure import draw_losses, draw_rise, draw_samples
from real.reports.elements import BAD, GOOD, PLAIN
from real.reports.origin import Origin
from tests.real.exact import exact_checkpoint
from theory.calibration import Comparison
from theory.calibration.held_out import HeldOut
from theory.diffusion.likelihood_bound import gain_weights
from theory.estimators.time_grid import TimeGrid
from theory.statistics.intervals import Estimate

TIMES = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)
LOSSES = torch.tensor([[1.0, 2.0, 3.0], [1.5, 2.5, 4.0], [0.5, 3.0, 3.5]], dtype=torch.float64)
RISES = torch.tensor([[0.1, -0.2, 0.3], [0.2, -0.1, 0.5], [0.4, -0.4, 0.1]], dtype=torch.float64)
D = 2


@pytest.fixture(scope="module")
def compared():
    """A comparison with these losses of A and rises to B, and its report."""
    one = exact_checkpoint("vp")
    other = replace(one, reference="other", fingerprint="differs")
    first = HeldOut(LOSSES, {}, (), ())
    units = torch.tensor([0, 1, 1])
    grid = TimeGrid(one.schedule, TIMES)
    found = Comparison(grid, one.target, D, first, replace(first, losses=LOSSES + RISES), units)
    report = comparison_report((one, other), found, None, origin=Origin("command"), seed=3)
    return found, report.numbers


def test_bits_per_dimension_are_the_nats_over_the_dimension_and_ln_2(compared):
    found, numbers = compared
    weights = gain_weights(found.grid.schedule, found.target, TIMES)
    nats = vars(Estimate.of_mean(RISES @ weights, found.units))
    assert numbers["bound_rise_nats"] == pytest.approx(nats)
    bits = {name: value / (D * 0.6931471805599453) for name, value in nats.items()}
    assert numbers["bound_rise_bits_per_dim"] == pytest.approx(bits)
    assert numbers["dimensions"] == D


def test_every_time_has_the_losses_of_a_and_b_and_the_rise_from_a_to_b(compared):
    found, numbers = compared
    level = 1 - 0.05 / 3
    assert numbers["confidence_of_each_time"] == pytest.approx(level)
    for k, row in enumerate(numbers["times"]):
        rise = Estimate.of_mean(RISES[:, k], found.units, level)
        assert row == pytest.approx(
            {
                "t": TIMES[k].item(), "log_snr": found.grid.schedule.log_snr(TIMES)[k].item(),
                "loss_A": LOSSES[:, k].mean().item(), "loss_B": (LOSSES + RISES)[:, k].mean().item(),
                "rise": rise.value, "rise_lower": rise.lower, "rise_upper": rise.upper,
            }
        )  # fmt: skip


def test_networks_images_and_units_are_told_apart(compared):
    _, numbers = compared
    assert (numbers["images"], numbers["units"]) == (3, 2)
    assert [numbers[name]["checkpoint"] for name in "AB"] == ["vp", "other"]
    assert [numbers[name]["fingerprint"] for name in "AB"] == ["exact", "differs"]
    assert numbers["settings"] == {"seed": 3}


def test_lines_say_both_networks_the_images_and_the_rise_of_the_bound():
    one = exact_checkpoint("vp")
    other = replace(one, reference="other", fingerprint="differs")
    first = HeldOut(LOSSES, {}, (), ())
    grid = TimeGrid(one.schedule, TIMES)
    second = replace(first, losses=LOSSES + RISES)
    found = Comparison(grid, one.target, D, first, second, torch.tensor([0, 1, 1]))
    report = comparison_report((one, other), found, None, origin=Origin("command"))
    bits = report.numbers["bound_rise_bits_per_dim"]["value"]
    low, *_, high = sorted(one.schedule.log_snr(TIMES).tolist())
    assert report.summary[-2:] == [
        "A: vp (exact); B: other (exact)",
        f"3 images (2 independent), 3 times, log-SNR {low:.1f} to {high:.1f}; the bound of B less that "
        f"of A, in bits/dim: {bits:+.2e}",
    ]
    assert report.title == "vp (A) and other (B)"


def test_the_table_has_both_losses_and_the_rise_in_its_tone():
    ends = {"worse": (0.5, 2.0), "better": (-2.0, -0.5), "unsure": (-1.0, 1.0), "same": (0.0, 0.0)}
    rows = [
        {"t": 0.25, "log_snr": 1.5, "loss_A": 3.0, "loss_B": 4.0, "rise": (low + high) / 2,
         "rise_lower": low, "rise_upper": high}
        for low, high in ends.values()
    ]  # fmt: skip
    table = _table(rows)
    assert table.columns == ("t", "log-SNR", "loss of A", "loss of B", "rise from A to B")
    assert [row[:4] for row in table.rows] == [["0.25", "1.50", "3", "4"]] * 4
    assert [(row[4].text, row[4].tone, row[4].beside) for row in table.rows] == [
        ("+1.25e+00", BAD, "+5.0e-01 to +2.0e+00"), ("-1.25e+00", GOOD, "-2.0e+00 to -5.0e-01"),
        ("+0.00e+00", PLAIN, "-1.0e+00 to +1.0e+00"), ("0", PLAIN, ""),
    ]  # fmt: skip


@pytest.mark.parametrize("samples", [None, {"real_images": {}}])
def test_each_panel_draws_what_its_words_say(samples, compared, monkeypatch):
    monkeypatch.setattr("real.reports.comparison.distance_lines", lambda *_: [])
    one = exact_checkpoint("vp")
    report = comparison_report((one, one), compared[0], samples, origin=Origin("command"))
    drawn = [
        (panel.draw.func, panel.draw.keywords, panel.alt) for panel in report.sections[0].panels
    ]
    assert drawn == [
        (draw_losses, {"report": report.numbers}, "Denoising loss of both networks over log-SNR"),
        (
            draw_rise, {"report": report.numbers},
            "Rise of the loss from A to B in percent, over log-SNR",
        ),
        *([(draw_samples, {"samples": samples}, "Frechet distances of the samples of A and B")]
          if samples else []),
    ]  # fmt: skip
