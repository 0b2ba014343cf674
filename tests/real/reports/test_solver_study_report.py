"""The report of a study of solvers: a winner is named where it is certain."""

import pytest

from real.reports.solver_study import _verdict, nearest


def rows(nfe, **distances):
    """Distances of each solver at the seeds 0, 1, 2."""
    return [
        {"solver": name, "nfe": nfe, "seed": seed, "frechet": value}
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
