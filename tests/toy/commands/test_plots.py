"""``python -m toy plots``: every figure is written, shows something, and has its data beside it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from theory.support.errors import InputError
from toy.__main__ import main
from toy.figures import gallery
from toy.figures.gallery import GALLERY, INDEX
from toy.figures.models import compute_loss

FIGURES = [
    "schedules", "score_paths", "martingale_residual", "posterior_paths", "tower_residual",
    "translation", "energy_identity", "supremum_tails", "azuma", "betting_price", "optional_stopping",
    "likelihood_bounds", "calibrated_likelihood", "discrete_bound", "euler_maruyama",
    "few_steps", "martingale_drift", "loss_and_shift", "guidance", "planted_and_recovered", "order_0_and_1",
]  # fmt: skip


def is_blank(image):
    """Whether fewer than one pixel in a hundred differs from the corner's."""
    pixels = np.asarray(image.convert("RGB")).astype(int)
    return (pixels != pixels[0, 0]).any(-1).mean() < 0.01


def test_a_blank_image_is_told_apart():
    assert is_blank(Image.new("RGB", (50, 50), "white"))
    drawn = Image.new("RGB", (50, 50), "white")
    drawn.paste("black", (10, 10, 20, 20))
    assert not is_blank(drawn)


def test_plots_writes_figures_that_show_something(tmp_path, capsys):
    out = tmp_path / "figures"
    assert main(["plots", "--out", str(out), "--quiet"]) == 0
    shown = json.loads((out / INDEX).read_text())["figures"]
    written = {p.name for p in out.iterdir()}
    names = {p.stem for p in out.iterdir()} - {Path(INDEX).stem}
    assert names == set(FIGURES)
    files = {f"{name}.{kind}" for name in names for kind in ("png", "pdf", "json")}
    assert written == files | {INDEX}
    assert {figure["name"] for figure in shown} == set(FIGURES)
    assert all(figure["section"] and figure["shows"] for figure in shown)
    assert set(capsys.readouterr().out.split()) == {str(out / file) for file in written}
    for name in names:
        assert (out / f"{name}.pdf").read_bytes().startswith(b"%PDF-")
        assert json.loads((out / f"{name}.json").read_text())
        with Image.open(out / f"{name}.png") as image:
            assert min(image.size) > 300
            assert not is_blank(image)


def test_figures_have_the_seed_that_is_asked_for(tmp_path, monkeypatch):
    seeds = []

    def compute(seed):
        seeds.append(seed)
        return compute_loss(0.5)

    entry = replace(GALLERY["loss_and_shift"], compute=compute)
    monkeypatch.setattr(gallery, "GALLERY", {"one": entry, "other": entry})
    main(["plots", "--out", str(tmp_path / "a"), "--seed", "3", "--quiet"])
    main(["plots", "--out", str(tmp_path / "b"), "--quiet"])
    assert seeds == [3, 3, 0, 0]


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="output"):
        main(["plots", "--out", str(tmp_path / "file")])
