"""The report of a study of solvers: a winner is named where it is certain."""

import pytest
from matplotlib.figure import Figure

from real.reports.origin import Origin
from real.reports.solver_study import _verdict, draw_study, nearest, solver_report


def rows(nfe, **distances):
    """Distances of each solver at the seeds 0, 1, 2."""
    return [
        {"solver": name, "nfe": nfe, "seed": seed, "spent": 10 * nfe, "frechet": value}
        for name, values in distances.items()
        for seed, value in enumerate(values)
    ]


APART = {"ddim": (5.0, 6.0, 7.0), "unipc": (4.0, 5.0, 6.1), "deis": (9.0, 9.1, 9.2)}
"""The starts differ more than the solvers do; paired, the solvers are apart."""
UNSURE = {"ddim": (5.0, 6.0, 7.0), "unipc": (4.0, 6.5, 7.0)}
SPREAD = {"ddim": (5.0, 5.1, 5.0), "unipc": (4.0, 4.1, 4.0), "deis": (3.0, 9.0, 9.0)}
"""The best is certainly below the second, and not below the third."""


@pytest.mark.parametrize(
    ("found", "best", "certain"),
    [(APART, "unipc", True), (UNSURE, "unipc", False), (SPREAD, "unipc", False)],
)
def test_a_solver_is_certainly_nearest_if_it_is_below_each_other_one(found, best, certain):
    name, distance, sure = nearest(rows(4, **found))
    assert (name, sure) == (best, certain)
    assert distance == pytest.approx(sum(found[best]) / 3)


def test_the_first_sentence_names_a_winner_only_where_it_is_certain():
    how = "(paired noise, 3 seeds, 95%)"
    both = {"rows": rows(4, **APART) + rows(8, **UNSURE), "seeds": 3}
    assert _verdict(both).sentence == (
        f"Certainly nearest to real images {how}, by evaluations: 4: unipc (5.03); "
        "at 8 none is, and more seeds may show one."
    )
    none = {"rows": rows(4, **UNSURE) + rows(8, **UNSURE), "seeds": 3}
    assert _verdict(none).sentence == (
        f"At 4, 8 evaluations no solver is certainly the nearest {how}; more seeds may show one."
    )


def test_tables_lines_and_picture_have_the_means_over_seeds_of_their_solver_and_number():
    """One that is not tried at eight evaluations has no number there."""
    found = rows(4, ddim=(5.0, 6.0, 7.0), fitted=(1.0, 2.0, 3.0)) + rows(8, ddim=(3.0, 3.0, 3.0))
    report = solver_report(
        {
            "rows": found, "data": "digits", "samples": 20, "seeds": 3, "features": "pixels",
            "images": 30, "distance": "a distance", "checkpoint": "net", "fingerprint": "f",
            "real_images": {"frechet": 0.25},
        },
        Origin("solver-study"),
    )  # fmt: skip
    ddim, fitted, later = report.numbers["over_seeds"]
    half = 4.302653 / 3**0.5  # Student's quantile of two degrees of freedom, deviation 1
    for row, solver, mean in ((ddim, "ddim", 6.0), (fitted, "fitted", 2.0)):
        assert (row["solver"], row["nfe"], row["spent"]) == (solver, 4, 40)
        expected = {"value": mean, "lower": mean - half, "upper": mean + half}
        assert row["frechet"] == pytest.approx(expected, rel=1e-6)
    assert (later["nfe"], later["frechet"]["value"]) == (8, 3.0)
    compared = "a distance of 20 samples to 30 images, 3 seeds; features: pixels"
    assert report.summary == [compared, "4 evaluations: ddim 6, fitted 2", "8 evaluations: ddim 3"]
    (table,) = report.sections[0].tables
    assert table.columns == ("solver", "4 evaluations", "8 evaluations")
    first, second = table.rows
    assert [first[0], first[1].text, first[1].beside, first[2].text] == ["ddim", "6", "± 2.5", "3"]
    assert [second[0], second[1].text, second[2]] == ["fitted", "2", "–"]
    ax = Figure().subplots()
    report.panels[0].draw(ax)
    lines = {line.get_label(): line for line in ax.lines}
    assert list(lines["ddim"].get_xdata()) == [4, 8]
    assert list(lines["ddim"].get_ydata()) == [6, 3]
    assert list(lines["fitted"].get_ydata()) == [2]
    assert lines["other real images"].get_ydata()[0] == 0.25
    assert ax.get_ylim()[1] == pytest.approx(9)  # half above the largest of those that bound it


def test_the_legend_stands_beside_the_lines_and_numbers_are_plain():
    names = ("ddim", "unipc", "fitted", "fitted: trajectory", "epsilon scaling")
    found = [
        {"solver": name, "nfe": nfe, "frechet": {"value": 4 / nfe}}
        for nfe in (4, 10, 50)
        for name in names
    ]
    figure = Figure(layout="constrained")
    ax = figure.add_subplot()
    numbers = {"real_images": {"frechet": 0.3}, "distance": "a distance", "checkpoint": "net"}
    draw_study(ax, numbers | {"over_seeds": found})
    figure.draw_without_rendering()
    assert ax.get_legend().get_window_extent().x0 >= ax.get_window_extent().x1
    low, high = ax.get_ylim()
    ticks = {t.get_text() for t in ax.get_yticklabels() if low <= t.get_position()[1] <= high}
    assert {"0.1", "0.2", "0.5", "1"} <= ticks
    assert not any(label.get_text() for label in ax.get_yticklabels(minor=True))
