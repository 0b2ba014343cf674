"""The audit of published statistics: what is read, what is refused, and what is said."""

import numpy as np
import pytest
import torch

from real.reports.audit import audit_summary, read_statistics
from theory.calibration.audit import Audit, Bracket
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
        ({"stats": STATS[:, :3]}, "has none"),
        ({"stats": STATS.astype(int)}, "has none"),
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
