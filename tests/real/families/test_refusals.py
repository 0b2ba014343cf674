"""What a refusal of a network's settings says: what was expected and what came, in full."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from real.families.beta_tables import MAX_STEPS, NAMED, schedule_of_settings
from real.families.checkpoint import Codec
from real.families.conditions import Texts, refuse_condition
from real.families.data_range import in_range
from real.families.sidecar_settings import LARGEST_SIDE, image_size, whole_setting
from real.files.state_dicts import SHOWN, inferred, with_weights
from tests.real.exact import exact_checkpoint
from tests.refusals import exact_refusal

PLAIN = exact_checkpoint("table")
CODEC = Codec((2, 1, 1), torch.neg, torch.neg, "mark")
TEXTS = Texts(lambda text: (torch.zeros(1),))
LINE = partial(nn.Linear, 2, 1)
RIGHT = {"weight": torch.zeros(1, 2), "bias": torch.zeros(1)}
MORE = {f"n{k}": torch.zeros(1) for k in range(SHOWN + 2)}
STEPS = f"diffusion_steps: expected a whole number from 2 to {MAX_STEPS}, got"
SIDE = f"checkpoint: expected a positive whole number as width, at most {LARGEST_SIDE}, got"


def steps(number):
    return partial(schedule_of_settings, {"schedule": "cosine", "diffusion_steps": number})


def weights(**changed):
    return partial(with_weights, LINE, {**RIGHT, **changed}, "net")


REFUSALS = {
    "checkpoint: net is unconditional, it takes no condition": partial(refuse_condition, 0, "net"),
    "checkpoint: expected a list of 2 texts, got str": partial(TEXTS, "ab", 2, "cpu"),
    "checkpoint: expected a list of 2 texts, got Tensor": partial(TEXTS, torch.zeros(2), 2, "cpu"),
    "checkpoint: expected a list of 2 texts, got 3 of str": partial(TEXTS, ["a"] * 3, 2, "cpu"),
    "checkpoint: expected a list of 2 texts, got 2 of int, str": partial(TEXTS, ["a", 3], 2, "cpu"),
    f"schedule: expected one of {', '.join(NAMED)}, got 'steep'":
        partial(schedule_of_settings, {"schedule": "steep"}),
    f"{STEPS} 1": steps(1),
    f"{STEPS} {MAX_STEPS + 1}": steps(MAX_STEPS + 1),
    f"{STEPS} 9.0": steps(9.0),
    "betas: expected numbers, got \"['x']\"": partial(schedule_of_settings, {"betas": ["x"]}),
    f"betas: expected numbers, got 'linear 0.1..0.2, {MAX_STEPS + 1}'":
        partial(schedule_of_settings, {"betas": f"linear 0.1..0.2, {MAX_STEPS + 1}"}),
    "betas: expected numbers or 'linear FIRST..LAST, STEPS', got 'steep'":
        partial(schedule_of_settings, {"betas": "steep"}),
    "range: expected LOW below HIGH, got 5,1": partial(in_range, PLAIN, 5.0, 1.0),
    "range: expected LOW below HIGH, got 0,inf": partial(in_range, PLAIN, 0.0, float("inf")),
    "range: expected LOW below HIGH, got -inf,0": partial(in_range, PLAIN, -float("inf"), 0.0),
    "range: table says its own, 0 to 2":
        partial(in_range, replace(PLAIN, codec=replace(CODEC, data_range=(0.0, 2.0))), 0.0, 1.0),
    "range: table works on latents, whose range its autoencoder sets":
        partial(in_range, replace(PLAIN, codec=CODEC), 0.0, 1.0),
    f"{SIDE} '0'": partial(whole_setting, {"width": 0}, "width"),
    f"{SIDE} '{LARGEST_SIDE + 1}'": partial(whole_setting, {"width": LARGEST_SIDE + 1}, "width"),
    f"{SIDE} 'True'": partial(whole_setting, {"width": True}, "width"),
    f"{SIDE} 'None'": partial(whole_setting, {}, "width"),
    "checkpoint: expected an image_size that 4 levels can halve 3 times, got 12":
        partial(image_size, {"image_size": 12}, 4),
    "checkpoint: net is of another family: it lacks b":
        partial(inferred, len, ("a", "b", "c"), {"a": torch.zeros(1)}, "net"),
    "checkpoint: net has weights that make no network: 'x'":
        partial(inferred, lambda state: state["x"], ("a",), {"a": torch.zeros(1)}, "net"),
    "checkpoint: net lacks bias": partial(with_weights, LINE, {"weight": RIGHT["weight"]}, "net"),
    f"checkpoint: net has no place for {', '.join(list(MORE)[:SHOWN])} and 2 more": weights(**MORE),
    "checkpoint: net: expected weight of shape (1, 2), got (2, 1)": weights(weight=torch.zeros(2, 1)),
    "checkpoint: net: expected bias in floating point, got torch.int64":
        weights(bias=torch.zeros(1, dtype=torch.int64)),
}  # fmt: skip


@pytest.mark.parametrize("says", REFUSALS)
def test_a_refusal_says_what_was_expected_and_what_came(says):
    with exact_refusal(says):
        REFUSALS[says]()


def test_the_largest_settings_are_taken(monkeypatch):
    monkeypatch.setattr("real.families.beta_tables.MAX_STEPS", 9)
    for number in (2, 9):
        assert len(steps(number)().alphas_cumprod) == number
    assert whole_setting({"width": LARGEST_SIDE}, "width") == LARGEST_SIDE
    assert whole_setting({}, "width", 1) == 1
    assert image_size({"image_size": 24}, 4) == 24
