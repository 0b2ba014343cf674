"""One way to make a report: all of its files or none, figures in both formats, grids of images."""

import json

import jinja2
import numpy as np
import pytest
import torch
from PIL import Image

from real.reports.image_grid import image_grid
from real.reports.page import Report, interval, render, save_figure


def report(**more):
    numbers = {"a": 1.5, "b": float("nan")}
    return Report(
        "test", numbers, ["a line"], lambda figure: figure.subplots().plot([0, 1]), (2.0, 1.0),
        ("test.png", "test.pdf"), **more,
    )  # fmt: skip


def test_a_report_is_its_numbers_its_figure_and_its_grids(tmp_path):
    report(grids={"grid.png": torch.zeros(2, 1, 4, 4)}).write(tmp_path)
    assert json.loads((tmp_path / "test.json").read_text()) == {"a": 1.5, "b": None}
    assert (tmp_path / "test.pdf").read_bytes().startswith(b"%PDF")
    assert np.asarray(Image.open(tmp_path / "test.png").convert("L")).std() > 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "grid.png", "test.json", "test.pdf", "test.png",
    ]  # fmt: skip


def test_a_page_that_cannot_be_filled_leaves_nothing_behind(tmp_path):
    with pytest.raises(jinja2.TemplateNotFound):
        report(page={}).write(tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(jinja2.UndefinedError):
        render("study.html.j2")


def test_an_interval_in_words():
    assert interval({"value": 0.5, "lower": -1.0, "upper": 2.25}, "+.2f") == "[-1.00, +2.25]"


def test_a_figure_is_png_unless_it_is_named_pdf(tmp_path):
    paths = [tmp_path / name for name in ("a", "b.png", "c.pdf")]
    save_figure(lambda figure: figure.subplots(), (1.0, 1.0), *paths)
    assert [path.read_bytes()[1:4] for path in paths] == [b"PNG", b"PNG", b"PDF"]


def test_images_lie_in_rows_from_the_left_with_grey_between():
    images = torch.linspace(-1, 1, 5)[:, None, None, None].expand(5, 3, 2, 2)
    grid = np.asarray(image_grid(images, least_side=1))
    assert grid.shape == (8, 12, 3)
    inner = grid[1::4, 1::4, 0]
    assert inner.tolist() == [[0, 64, 128], [191, 255, 128]]
    assert (grid[0] == 128).all() and (grid[:, 0] == 128).all()
    assert np.asarray(image_grid(images[:1, :1], least_side=40)).shape == (60, 60)
