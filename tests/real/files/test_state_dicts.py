"""What training programs wrap around a network's weights is taken off where nothing is in doubt."""

import torch

from real.checkpoints import load
from real.files.state_dicts import state_of
from tests.real.state_files import SMALL_SETTINGS, guided_state, write
from tests.refusals import refusal

STATE = {"a.weight": torch.ones(2), "b.bias": torch.zeros(1)}
AVERAGE = {"a.weight": torch.full((2,), 2.0), "b.bias": torch.ones(1)}


def under(prefix, state=STATE):
    return {prefix + name: tensor for name, tensor in state.items()}


WRAPPED = {
    "itself": STATE,
    "list": [AVERAGE, STATE],
    "parallel": under("module."),
    "compiled": under("_orig_mod."),
    "both": under("_orig_mod.module."),
    "lightning": {"state_dict": under("model."), "epoch": 3, "hyper_parameters": {"lr": 1e-4}},
    "latent": {
        "state_dict": {**under("model.diffusion_model."), **under("first_stage_model.", AVERAGE)}
    },
    "model": {"model": STATE, "optimizer": {"state": {}, "param_groups": []}},
    "model_state_dict": {"model_state_dict": under("module."), "step": 5},
    "average": {"model": AVERAGE, "ema": STATE},
    "average of a library": {"model": AVERAGE, "ema_model": under("ema_model.")},
    "nested": {"state_dict": {"model": STATE}},
}


def test_every_wrapper_is_taken_off():
    for name, content in WRAPPED.items():
        found = state_of(content)
        assert found.keys() == STATE.keys(), name
        assert all(torch.equal(found[key], STATE[key]) for key in STATE), name


def test_nothing_is_chosen_where_nothing_tells():
    for content in (
        {"model": STATE, "net": AVERAGE}, {"ema": STATE, "ema_model": AVERAGE}, {"step": 5}, {}, [], 5,
        {"a": 1.0}, {"model": {"layers": 3}},
    ):  # fmt: skip
        assert state_of(content) == {}, content


def test_a_wrapped_network_is_the_same_network(tmp_path):
    plain = load(write(tmp_path / "plain.pt", guided_state(), SMALL_SETTINGS)).fingerprint
    for name, wrapped in (
        ("lightning", {"state_dict": under("model.", guided_state()), "epoch": 1}),
        ("average", {"model": guided_state(seed=1), "ema": under("module.", guided_state())}),
        ("latent", under("model.diffusion_model.", guided_state())),
    ):
        found = load(write(tmp_path / f"{name}.pt", wrapped, SMALL_SETTINGS))
        assert found.fingerprint == plain, name


def test_a_file_of_no_family_says_what_it_holds_and_what_else_to_do(tmp_path):
    with refusal(
        r"2 entries: a.weight, b.bias; a network of your own code is named as FILE.py:NAME"
    ):
        load(write(tmp_path / "other.pt", {"state_dict": under("module.")}, None))
