"""The audit of published statistics: what is read, what is refused, and what is said."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from real.reports.audit import (
    audit_report,
    audit_summary,
    audit_verdict,
    draw_noise_floor,
    read_statistics,
)
from real.reports.origin import Origin
from theory.calibration.audit import Audit, Bracket
from theory.calibration.verdict import DO_NOT, UNDECIDED, USE
from theory.support.errors import InputError

STATS = np.array([[0.0, 1.0, 2.0, 900.0], [5.0, 1.5, 2.5, 910.0]])


def stored(tmp_path, **arrays):
    path = tmp_path / "stats.npz"
    np.savez(path, **arrays)
    return path


def test_the_columns_are_times_norms_weighted_norms_and_energies(tmp_path):
    found = read_statistics(stored(tmp_path, stats=STATS.astype(np.float32)))
    assert [column.tolist() for column in found] == STATS.T.tolist()
    assert {column.dtype for column in found} == {torch.float64}


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"other": STATS}, "has none"),
        ({"stats": np.hstack([STATS, STATS])}, r"has one of float64, of shape \(2, 8\)"),
        ({"stats": STATS[:, :3]}, r"of floats, .* has one of float64, of shape \(2, 3\)"),
        ({"stats": STATS[:0]}, r"has one of float64, of shape \(0, 4\)"),
        ({"stats": STATS.astype(int)}, r"has one of int64, of shape \(2, 4\)"),
        ({"stats": -STATS}, "not positive and finite"),
        ({"stats": STATS * [1, 1, 0, 1]}, "not positive and finite"),
        ({"stats": STATS * [1, 1, np.nan, 1]}, "not positive and finite"),
    ],
)
def test_another_layout_is_refused(tmp_path, arrays, says):
    with pytest.raises(InputError, match=says):
        read_statistics(stored(tmp_path, **arrays))


def test_the_share_of_noise_and_what_survives_are_said_from_sample_to_population():
    """Of 2 nats, 0.5 survive if the images are a sample and 1 if they are the population."""
    nothing = torch.zeros(2, dtype=torch.float64)
    audit = Audit(2.0, Bracket(0.5, 1.0), Bracket(-1.0, 0.25), nothing, nothing)
    assert audit_summary(audit) == [
        "claimed gain of the likelihood bound: 2.000 nats",
        "of it noise: 75% (images a sample) to 50% (images the population)",
        "surviving: 0.500 to 1.000 nats",
        "net effect of applying that shift: -1.00 to +0.25 nats",
    ]


def test_more_noise_than_the_whole_claim_is_told_as_that():
    """Of 2 nats, -3.16 would be left if the images are a sample: noise alone claims 2.58 times as much."""
    nothing = torch.zeros(2, dtype=torch.float64)
    audit = Audit(2.0, Bracket(-3.16, 1.0), Bracket(-8.32, 0.0), nothing, nothing)
    assert audit_summary(audit)[1] == (
        "of it noise: all of it could be, as noise alone would claim 2.58 times as much (images a sample) to "
        "50% (images the population)"
    )
    just = Audit(2.0, Bracket(-0.008, 1.0), Bracket(-2.0, 0.0), nothing, nothing)
    assert "of it noise: 100% (images a sample)" in audit_summary(just)[1]


def test_the_page_says_of_how_many_images_and_of_no_network():
    nothing = torch.zeros(2, dtype=torch.float64)
    audit = Audit(2.0, Bracket(0.5, 1.0), Bracket(-1.0, 0.25), nothing, nothing)
    report = audit_report(nothing, nothing, audit, Origin("command"), images=500, dim=64)
    rows = dict(report.sections[-1].tables[0].rows)
    assert (rows["images"], rows["dim"]) == ("500", "64")
    assert report.numbers == {
        "claimed": 2.0, "surviving": {"sample": 0.5, "population": 1.0},
        "net": {"sample": -1.0, "population": 0.25},
    }  # fmt: skip
    assert not any("fingerprint" in name for name in rows)


@pytest.mark.parametrize(
    ("net", "begins", "advice"),
    [
        ((0.5, 2.0), "Applying the published shift gains between +0.50 and +2.00 nats", USE),
        ((-2.0, -0.5), "The published shift is mostly noise", DO_NOT),
        ((-2.0, 0.5), "Whether the published shift gains is not known", UNDECIDED),
        (
            (0.5, -2.0),
            "Whether the published shift gains is not known: between -2.00 and",
            UNDECIDED,
        ),
    ],
)
def test_a_shift_is_to_be_used_where_it_gains_both_ways(net, begins, advice):
    nothing = torch.zeros(2, dtype=torch.float64)
    verdict = audit_verdict(Audit(2.0, Bracket(0.5, 1.0), Bracket(*net), nothing, nothing))
    assert verdict.sentence.startswith(begins) and verdict.advice == advice


def test_what_was_published_is_drawn_above_its_floor():
    t, mean_sq, sample, population = torch.tensor(
        [[0.25, 0.75], [5.0, 9.0], [2.0, 3.0], [1.0, 1.5]], dtype=torch.float64
    )
    audit = Audit(2.0, Bracket(0.5, 1.0), Bracket(-1.0, 0.25), sample, population)
    ax = Figure().subplots()
    draw_noise_floor(ax, t, mean_sq, audit)
    published, left, _ = (list(line.get_ydata()) for line in ax.lines)
    assert (published, left) == ([5, 9], [3, 6])
    corners = {tuple(corner) for corner in ax.collections[0].get_paths()[0].vertices.tolist()}
    assert corners == {(0.25, 1), (0.25, 2), (0.75, 1.5), (0.75, 3)}
