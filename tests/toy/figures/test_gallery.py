"""What is written of a figure is its own, and a seed reaches all that is random in it."""

import inspect
import json
from dataclasses import asdict

import pytest
from torch import Tensor

from toy.figures import betting, bounds, martingales, models, orders
from toy.figures.gallery import GALLERY, INDEX, save_figures


def test_the_index_and_the_data_of_a_figure_are_its_own(tmp_path):
    names = ["order_0_and_1", "loss_and_shift"]
    found = orders.compute_orders(0, 100, 2), models.compute_loss(0.5)
    save_figures(tmp_path, dict(zip(names, found, strict=True)))
    index = json.loads((tmp_path / INDEX).read_text())["figures"]
    entries = [(name, GALLERY[name].section, GALLERY[name].shows) for name in names]
    assert [(row["name"], row["section"], row["shows"]) for row in index] == entries
    least, losses = (json.loads((tmp_path / f"{name}.json").read_text()) for name in names)
    assert least["least"] == found[0].least.tolist()
    assert losses["eta"] == found[1].eta
    assert losses["falls"] == {name: fall.tolist() for name, fall in found[1].falls.items()}


RANDOM = {
    "score_paths": lambda seed: martingales.compute_score_paths(seed, 50, 4),
    "posterior_paths": lambda seed: martingales.compute_posterior(seed, 50, 4),
    "translation": lambda seed: martingales.compute_translation(seed, 50, 4),
    "supremum_tails": lambda seed: bounds.compute_tails(seed, 50, 4),
    "azuma": lambda seed: bounds.compute_azuma(seed, 50, 4),
    "optional_stopping": lambda seed: bounds.compute_stopping(seed, 50, 6),
    "planted_and_recovered": lambda seed: models.compute_recovery(seed, 4, 40),
    "betting_price": betting.compute_price,
    "order_0_and_1": lambda seed: orders.compute_orders(seed, 50, 2),
}
SLOW = {"few_steps"}


def parts(value, name=""):
    """All tensors by name."""
    if isinstance(value, Tensor):
        return {name: value.tolist()}
    nested = value.items() if isinstance(value, dict) else ()
    return {k: v for key, item in nested for k, v in parts(item, f"{name} {key}").items()}


KNOWN = {
    "times",
    "eps",
    "levels",
    "bound",
    "exact",
    "doob",
    "sizes",
    "none",
    "log_snr",
    "least",
    "closed_form",
}


@pytest.mark.parametrize("name", RANDOM)
def test_a_seed_fixes_what_is_random_in_a_figure_and_another_changes_it(name):
    first, again, other = (parts(asdict(RANDOM[name](seed))) for seed in (1, 1, 2))
    assert str(first) == str(again)
    same = {key for key in first if first[key] == other[key]}
    assert {key for key in same if not set(key.split()) & KNOWN and "exact" not in key} == set()


def test_every_figure_that_takes_a_seed_is_tried_with_two():
    takes_seed = {
        name for name, entry in GALLERY.items()
        if "seed" in inspect.signature(entry.compute).parameters
        and entry.compute.__name__ != "<lambda>"
    }  # fmt: skip
    assert takes_seed == RANDOM.keys() | SLOW
