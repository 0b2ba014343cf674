"""docs/BEYOND.md is what docs/beyond.py computes, and its arithmetic is that of a hand."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

DOCS = Path(__file__).parents[1] / "docs"
spec = importlib.util.spec_from_file_location("beyond", DOCS / "beyond.py")
beyond = importlib.util.module_from_spec(spec)
spec.loader.exec_module(beyond)

GIVEN = beyond.ASSUMPTIONS
SPEED = {
    "rate": 2e12,
    "against_the_bare_network": {f"calibrate, order {k}": {"ratio": r} for k, r in enumerate((0.5, 0.25))},
}  # fmt: skip


def test_the_page_is_what_the_program_computes():
    page, speeds, wanted = (
        (DOCS / "BEYOND.md").read_text(),
        beyond.measured(),
        beyond.targets(GIVEN),
    )
    assert beyond.page(GIVEN, speeds, wanted) == page
    dearer = {**GIVEN, "price": replace(GIVEN["price"], value=GIVEN["price"].value + 1)}
    assert beyond.page(dearer, speeds, wanted) != page


@pytest.mark.parametrize(
    ("order", "classes", "hours", "numbers"),
    [(0, 0, 1e6 * 1000 * 3.6e9 / 1e12 / 3600, 1), (0, 10, 1e6 * 1000 * 3.6e9 / 1e12 / 3600, 10),
     (1, 0, 1e6 * 50 * 3.6e9 / 5e11 / 3600, 22), (1, 10, 1e6 * 50 * 3.6e9 / 5e11 / 3600, 32)],
)  # fmt: skip
def test_costs_by_hand(order, classes, hours, numbers):
    target = beyond.Target("x", (3, 4, 5), 7, 3_600_000_000, 1e6, classes)
    times = 1000 if order == 0 else 50
    found = beyond.cost(target, SPEED, GIVEN, order)
    assert found["evaluations"] == 1e6 * times
    assert found["hours"] == pytest.approx(hours)
    assert found["price"] == pytest.approx(hours * GIVEN["price"].value)
    assert found["bytes"] == times * 60 * numbers * 8


def test_operations_are_counted_without_memory():
    with torch.device("meta"):
        layer, x = nn.Conv2d(3, 5, 3, padding=1), torch.zeros(2, 3, 8, 8)
    assert beyond.operations(lambda: layer(x)) == 2 * (2 * 5 * 8 * 8) * (3 * 3 * 3)
    assert beyond.size(layer) == 3 * 5 * 9 + 5


def test_assumptions_are_replaced_by_name():
    given = beyond.with_values(GIVEN, ["price=2.5"])
    assert given["price"].value == 2.5 and given["price"].source != GIVEN["price"].source
    assert given["times"] == GIVEN["times"]
    for wrong in ("prise=2", "price", "price=x"):
        with pytest.raises(SystemExit, match="expected NAME=NUMBER"):
            beyond.with_values(GIVEN, [wrong])
