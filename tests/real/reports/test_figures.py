"""Figures: every line is drawn from the numbers that its label names, in the unit that its axis names."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from real.quality.choice import Choice, Distances, Fall
from real.reports import (
    choice,
    comparison_figure,
    fitted,
    quality_figure,
    repair,
    validation_figure,
)
from theory.support.plot_style import BLUE, GREY

LOG_SNR = [-3.0, 0.0, 4.0]


def drawn(draw, *arguments):
    """The axes after a drawing."""
    ax = Figure().subplots()
    draw(ax, *arguments)
    return ax


def values(ax, label):
    """Heights of the one line of this label."""
    (line,) = (line for line in ax.lines if line.get_label() == label)
    return np.asarray(line.get_ydata(), dtype=float).tolist()


def ends(collection):
    """(lower, upper) of each vertical line of a collection."""
    return [(float(low[1]), float(high[1])) for low, high in collection.get_segments()]


def rows(**columns):
    """A report of the times, from columns."""
    columns = {"log_snr": LOG_SNR} | columns
    return {
        "times": [
            dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
        ]
    }


def test_the_fall_of_the_loss_is_in_percent_of_it():
    report = rows(
        heldout_gain=[1.0, 3.0, -2.0], heldout_gain_lower=[0.5, 2.0, -3.0],
        heldout_gain_upper=[1.5, 4.0, -1.0], denoising_loss=[2.0, 10.0, 4.0],
    )  # fmt: skip
    ax = drawn(validation_figure.draw_gain, report)
    assert values(ax, "held out, 95 %") == pytest.approx([50, 30, -50])
    (band,) = ax.collections
    corners = {(x, round(y, 6)) for x, y in band.get_paths()[0].vertices.tolist()}
    assert {
        (-3.0, 25.0),
        (-3.0, 75.0),
        (0.0, 20.0),
        (0.0, 40.0),
        (4.0, -75.0),
        (4.0, -25.0),
    } <= corners
    assert "%" in ax.get_ylabel()


def test_errors_of_the_shift_and_of_the_plain_average_have_their_own_labels():
    ax = drawn(
        validation_figure.draw_error, rows(error_energy=[1, 2, 3], plain_error_energy=[10, 20, 30])
    )
    assert values(ax, "this toolkit") == [1, 2, 3]
    assert values(ax, "plain average (published)") == [10, 20, 30]


def test_the_mean_error_is_drawn_beside_the_noise_of_a_plain_average():
    report = rows(
        eta_sq=[1, 2, 3], eta_sq_lower=[0.9, 1.9, 2.9], eta_sq_upper=[1.1, 2.1, 3.1],
        plain_error_energy=[10, 20, 30],
    )  # fmt: skip
    ax = drawn(validation_figure.draw_eta, report)
    assert values(ax, r"$|\eta_t|^2$, 95 %") == [1, 2, 3]
    assert values(ax, "noise of a plain average") == [10, 20, 30]
    below = rows(
        eta_sq=[-0.5, 0, 2], eta_sq_lower=[-1, -1, 1], eta_sq_upper=[0.1, 0.2, 3],
        plain_error_energy=[10, 20, 30],
    )  # fmt: skip
    ax = drawn(validation_figure.draw_eta, below)
    assert values(ax, r"$|\eta_t|^2$, 95 %") == [
        2
    ]  # what is seen, above a floor of 0.3 of the least
    corners = {(x, round(y, 6)) for x, y in ax.collections[0].get_paths()[0].vertices.tolist()}
    assert {(-3.0, 0.15), (0.0, 0.15), (0.0, 0.2), (4.0, 1.0), (4.0, 3.0)} <= corners


def test_a_network_worse_than_a_line_is_above_one():
    ax = drawn(
        validation_figure.draw_line_check, rows(network_error=[1, 4, 9], line_error=[2, 2, 3])
    )
    assert ax.lines[1].get_ydata().tolist() == [0.5, 2, 3]


def estimate(value):
    return {"value": value, "lower": value - 0.5, "upper": value + 0.5}


QUALITY = {
    "over_seeds": [
        {"nfe": nfe, "frechet": {"before": estimate(b), "after": estimate(a), "change": estimate(a - b)}}
        for nfe, b, a in ((5, 9.0, 6.0), (10, 4.0, 3.0))
    ],
    "real_images": {"frechet": 1.5}, "confidence": 0.95, "seeds": [0, 1, 2], "solver": "ddim",
}  # fmt: skip


def test_distances_without_and_with_calibration_have_their_own_labels():
    ax = drawn(quality_figure.draw_measure, QUALITY, "frechet", "a distance")
    assert values(ax, "without calibration") == [9, 4]
    assert values(ax, "with calibration") == [6, 3]
    assert values(ax, "real images") == [1.5, 1.5]
    before, after = ax.collections
    assert ends(before) == [(8.5, 9.5), (3.5, 4.5)] and ends(after) == [(5.5, 6.5), (2.5, 3.5)]
    change = drawn(quality_figure.draw_change, QUALITY, "frechet")
    assert change.lines[1].get_ydata().tolist() == [-3, -1]
    assert ends(change.collections[0]) == [(-3.5, -2.5), (-1.5, -0.5)]


def test_each_measure_is_drawn_with_its_own_floor_and_what_its_intervals_are():
    rows = [row | {"kid": row["frechet"]} for row in QUALITY["over_seeds"]]
    report = QUALITY | {"over_seeds": rows, "real_images": {"frechet": 1.5, "kid": 0.25}}
    ax = drawn(quality_figure.draw_measure, report, "kid", "kernel")
    assert values(ax, "real images") == [0.25, 0.25]
    assert ax.get_title() == "kernel"
    assert ax.get_legend().get_title().get_text() == "95% over 3 seeds"
    assert ax.get_xlabel() == "network evaluations per sample (ddim)"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["5", "10"]


def test_the_rise_of_the_loss_is_in_percent_of_that_of_a():
    """B is worse at the first time and better at the second; the third is not certain."""
    report = rows(
        loss_A=[2.0, 10.0, 4.0], loss_B=[3.0, 7.0, 5.0], rise=[1.0, -3.0, 1.0], rise_lower=[0.5, -4.0, -1.0],
        rise_upper=[1.5, -2.0, 3.0],
    ) | {"confidence": 0.95, "A": {"checkpoint": "one"}, "B": {"checkpoint": "other"}}  # fmt: skip
    ax = drawn(comparison_figure.draw_rise, report)
    found = {label: values(ax, label) for label in ("B is worse", "B is better", "not certain")}
    assert found == {"B is worse": [50], "B is better": [-30], "not certain": [25]}
    assert [ends(lines) for lines in ax.collections] == [[(25, 75)], [(-40, -20)], [(-25, 75)]]
    ax = drawn(comparison_figure.draw_losses, report)
    assert values(ax, "A: one") == [2, 10, 4] and values(ax, "B: other") == [3, 7, 5]


def test_samples_of_both_networks_are_joined_by_their_seed():
    samples = {
        "seeds": [0, 1], "real_images": {"frechet": 0.5}, "solver": "ddim", "distance": "d",
        "over_seeds": [{"nfe": 5}, {"nfe": 9}],
        "rows": [
            {"network": name, "seed": seed, "frechet": value}
            for name, seed, value in (("A", 0, 1.0), ("B", 0, 2.0), ("A", 1, 3.0), ("B", 1, 5.0))
        ],
    }  # fmt: skip
    ax = drawn(comparison_figure.draw_samples, samples)
    assert [list(line.get_ydata()) for line in ax.lines[:2]] == [[1, 2], [3, 5]]
    assert values(ax, "other real images") == [0.5, 0.5]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("ddim, 5 evaluations per sample", "d")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["A", "B"]


def test_losses_of_a_repair_have_their_own_labels():
    names = (repair.FULL, repair.NONE, repair.ORDER_0, repair.ORDER_1, repair.AGAINST_FULL)
    report = rows(
        **{name: [estimate(10.0 * k + i) for i in range(3)] for k, name in enumerate(names, 1)}
    )
    ax = drawn(repair.draw_losses, report | {"damage": "int4"})
    for k, name in enumerate(names, 1):
        assert values(ax, name) == [10.0 * k, 10.0 * k + 1, 10.0 * k + 2]


def test_a_fit_is_drawn_as_squared_errors_fitted_over_not_fitted():
    figures = {
        "distance": {"before": estimate(8.0), "after": estimate(2.0)},
        "moments": {"before": 4.0, "after": 2.0},
    }
    ax = drawn(fitted.draw_gain, figures)
    assert [bar.get_height() for bar in ax.patches] == [0.25, 0.5]


def test_each_way_is_drawn_over_nothing_on_the_same_trials():
    """The way that lost early is held against the first trials of nothing alone."""
    tried = {
        "nothing": [Distances(1.0, 4.0), Distances(1.0, 6.0)],
        "early": [Distances(1.0, 2.0)],
        "best": [Distances(1.0, 1.0), Distances(1.0, 1.5)],
    }
    fall = Fall.of([4.0, 6.0], [1.0, 4.0])
    ax = drawn(choice.draw_tried, Choice("best", "best", tried, fall, fall), "a distance")
    assert [bar.get_width() for bar in ax.patches] == [0.5, 0.25]
    assert [bar.get_facecolor() for bar in ax.patches] == [to_rgba(GREY), to_rgba(BLUE)]
