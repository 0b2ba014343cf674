"""What options ask of a network: every one of them reaches it."""

from argparse import Namespace
from pathlib import Path

import torch

from real.calibrated.fitted_solvers import unfitted_solver
from real.commands import loading
from real.families.data_range import in_range
from real.images.base import ImageSource
from real.images.latents import latents_of, save_latents
from real.images.opening import open_images
from tests.real.exact import exact_checkpoint
from tests.refusals import refusal


def test_each_branch_has_the_calibration_that_is_named_for_it(monkeypatch):
    checkpoint = exact_checkpoint("vp", null_condition=3)
    monkeypatch.setattr(loading, "calibrated_by", lambda _, *given: given)
    monkeypatch.setattr(loading, "guided", lambda *given: lambda: given)
    files = Path("joint"), Path("null")
    joint, null = (files[0], "joint"), (files[1], "null")
    assert loading.prediction_for(checkpoint, *files, 2.0)() == (joint, null, 3, 2.0)


OPTIONS = {
    "checkpoint": "net", "family": "edm", "range": [0.0, 2.0], "dtype": "bfloat16", "compile": True,
    "channels_last": True, "data": "images", "images": 7, "data_root": Path("root"), "download": True,
    "groups": None, "quiet": True, "skip_bad": True,
}  # fmt: skip


def test_a_network_is_loaded_and_run_as_its_options_say(monkeypatch):
    checkpoint, seen = exact_checkpoint("vp"), []

    def load(*given):
        seen.append(given)
        return checkpoint

    def run_well(network, device, **how):
        seen.append((network.data_range, how))
        return network

    monkeypatch.setattr(loading, "load", load)
    monkeypatch.setattr(loading, "run_well", run_well)
    cpu = torch.device("cpu")
    loading.run_network(loading.NetworkRequest.of(Namespace(**OPTIONS)), cpu)
    assert seen == [
        ("net", cpu, "edm"),
        ((0.0, 2.0), {"dtype": "bfloat16", "compile": True, "channels_behind": True}),
    ]


def test_images_are_opened_as_their_options_say(monkeypatch, tmp_path):
    seen, source = [], ImageSource.of("some", torch.zeros(2, 1, 8, 8))
    (tmp_path / "groups.txt").write_text("a\nb\n")

    def open_images(*given, **how):
        seen.append((given, how))
        return source

    monkeypatch.setattr(loading, "open_images", open_images)
    wanted = Namespace(**OPTIONS | {"groups": str(tmp_path / "groups.txt")})
    loading.opened(loading.ImageRequest.of(wanted), "held-out", (1, 8, 8), 5)
    ((given, how),) = seen
    assert given == ("images", "held-out", (1, 8, 8))
    assert {**how, "groups": list(how["groups"])} == {
        "limit": 7, "batch_size": 5, "data_root": Path("root"), "download": True,
        "groups": ["a", "b"], "skip_bad": True,
    }  # fmt: skip


def test_images_are_taken_as_latents_of_the_networks_own_codec(tmp_path, digits_checkpoint):
    """Of a network in [0, 1], whose codec halves and shifts them; its latents may come from a file."""
    half, other = (in_range(digits_checkpoint, low, 1.0) for low in (0.0, -0.5))
    source = open_images("digits", "held-out", (1, 8, 8), limit=6)
    file, cpu = tmp_path / "l.safetensors", torch.device("cpu")
    save_latents(latents_of(source, half.codec), half.codec, file)

    def taken(checkpoint, reference):
        wanted = loading.ImageRequest(reference, 6, None, False, None, True)
        images = loading.images_for(checkpoint, wanted, "held-out", cpu, 4)
        assert images.batch_size == 4
        return torch.cat(list(images))

    pixels = torch.cat(list(source))
    assert torch.equal(taken(digits_checkpoint, "digits"), pixels)
    for reference in ("digits", str(file)):
        torch.testing.assert_close(taken(half, reference), (pixels + 1) / 2)
    with refusal("holds latents of another autoencoder"):
        taken(other, str(file))


def test_two_parts_of_a_set_share_no_image():
    """Those of the digits are parts of their own; every second image of other sets is held out."""
    whole = ImageSource.of("some", torch.arange(5.0).reshape(5, 1, 1, 1))
    roles = []
    known, others = loading.two_parts(
        "some.npz", lambda role: roles.append(role) or whole, "held-out"
    )
    assert roles == ["held-out"]
    parts = [torch.cat(list(part)).flatten().tolist() for part in (known, others)]
    assert parts == [[0, 2, 4], [1, 3]]
    found = loading.two_parts("digits", lambda role: ImageSource.of(role, torch.zeros(2, 1, 8, 8)))
    assert [part.name for part in found] == ["calibration", "held-out"]


def test_a_solver_takes_the_evaluations_that_are_asked_for():
    checkpoint = exact_checkpoint("vp")
    asked = Namespace(fitted=None, solver="heun", nfe=7)
    solver, nfe = loading.solver_for(checkpoint, asked)
    assert (solver.name, nfe) == ("heun", 7)


def test_a_fitted_solver_takes_the_evaluations_that_it_was_fitted_for(monkeypatch):
    checkpoint, seen = exact_checkpoint("vp"), []

    def load_fitted(*given, **how):
        seen.append((given, how))
        return unfitted_solver(checkpoint, "ddim", 3)

    monkeypatch.setattr(loading, "load_fitted", load_fitted)
    files = {"calibration": Path("joint"), "unconditional": Path("null")}
    asked = {"fitted": Path("f"), "guidance": 2.0, "condition": "4", **files}
    for solver, nfe in ((None, None), ("ddim", 3)):
        found, taken = loading.solver_for(checkpoint, Namespace(**asked, solver=solver, nfe=nfe))
        assert (found.name, taken) == ("fitted ddim", 3)
    how = {"guidance": 2.0, "calibrations": (Path("joint"), Path("null")), "condition": "4"}
    assert seen == [((checkpoint, Path("f")), how)] * 2
    for solver, nfe, said in (
        ("heun", 3, "solver ddim, as fitted, got heun"), (None, 4, "nfe 3, as fitted, got 4"),
    ):  # fmt: skip
        with refusal(f"fitted solver: expected {said}"):
            loading.solver_for(checkpoint, Namespace(**asked, solver=solver, nfe=nfe))
