"""One way to make a report: all of its files or none, and a page that needs no other file."""

import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import jinja2
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from real.reports import page
from real.reports.elements import BAD, Cell, Panel, Picture, Section, Table
from real.reports.image_grid import image_grid
from real.reports.inline import LARGEST_PNG, drawing, picture
from real.reports.page import Report, interval, render, save_figure, supported
from theory.calibration.verdict import USE, Verdict

WEB = re.compile(r'\b(?:src|href|action)="(?!data:|#)|@import|url\((?!#)')
"""What would ask for another file."""


def line(ax):
    ax.plot([0, 1], label="$a_t$")
    ax.set(xlabel="a < b & c", title="x")
    ax.legend()


def report(**more):
    panels = (Panel(line, 'a "line" <x>'), Panel(line, "another"))
    tables = (
        Table(("a", "b"), [["1", Cell("2", BAD, "3 to 4")]], "some numbers"),
        Table(("a", "c"), [["1", "2"]], "others", folded=True),
    )
    sections = (
        Section("First", ("Words <b>.",), panels, (Picture(torch.zeros(2, 1, 4, 4), "zeros", "grid.png"),)),
        Section("Second", (), (Panel(line, "a third"),), tables=tables, code="a < b"),
    )  # fmt: skip
    numbers = {"a": 1.5, "b": float("nan")}
    given = {"title": "A <test>", "sections": sections, "figures": ("test.png", "test.pdf")} | more
    return Report(
        "test", verdict=Verdict("Good & well.", USE), summary=["a line"], numbers=numbers, **given
    )


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_a_report_is_its_numbers_its_figure_its_grids_and_its_page(tmp_path):
    report().write(tmp_path)
    assert json.loads((tmp_path / "test.json").read_text()) == {
        "verdict": {"sentence": "Good & well.", "advice": "use"}, "summary": ["a line"],
        "a": 1.5, "b": None,
    }  # fmt: skip
    assert (tmp_path / "test.pdf").read_bytes().startswith(b"%PDF")
    assert np.asarray(Image.open(tmp_path / "test.png").convert("L")).std() > 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "grid.png", "test.html", "test.json", "test.pdf", "test.png",
    ]  # fmt: skip


def test_the_page_needs_no_other_file_and_the_verdict_comes_first():
    page = report().page()
    assert not WEB.search(page.replace('xmlns:xlink="http://www.w3.org/1999/xlink"', ""))
    assert "<script" not in page
    assert page.index("Good &amp; well.") < page.index("a line") < page.index("First")
    for words in ("A &lt;test&gt;", "Words &lt;b&gt;.", "a &lt; b", 'class="bad"'):
        assert words in page
    for dark in ('name="viewport"', "prefers-color-scheme: dark", "currentColor"):
        assert dark in page
    assert "#000000" not in page and "#010203" not in page


def test_what_stands_between_backticks_is_code_on_the_page_and_as_it_is_elsewhere():
    words = "Measure <b> with `quality` & `a < b`; a lone ` stays."
    shown = (
        "Measure &lt;b&gt; with <code>quality</code> &amp; <code>a &lt; b</code>; a lone ` stays."
    )
    made = report(sections=(Section("First", (words,)),))
    said = replace(made, verdict=Verdict(words), summary=[words])
    assert said.page().count(shown) == 3
    assert said.lines == [words, words]


def test_a_page_can_be_read_without_seeing_it():
    tags = Tags(report().page()).found
    drawings = [attrs for tag, attrs in tags if tag == "svg"]
    assert [attrs["aria-label"] for attrs in drawings] == ['a "line" <x>', "another", "a third"]
    assert all(attrs["role"] == "img" for attrs in drawings)
    assert [attrs["alt"] for tag, attrs in tags if tag == "img"] == ["zeros"]
    assert all(
        attrs.get("tabindex") == "0" for _, attrs in tags if "scroll" in attrs.get("class", "")
    )
    assert all("scope" in attrs for tag, attrs in tags if tag == "th")
    names = Counter(attrs["id"] for _, attrs in tags if "id" in attrs)
    assert names.most_common(1)[0][1] == 1


def test_references_within_a_drawing_lead_to_what_it_has():
    svg = drawing(Panel(line, "a"), "p1")
    wanted = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    assert wanted and wanted <= set(re.findall(r'id="([^"]+)"', svg))


def test_a_drawing_is_the_same_each_time():
    assert drawing(Panel(line, "a"), "p1") == drawing(Panel(line, "a"), "p1")


def test_a_large_picture_is_stored_small():
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (3000, 3000, 3), dtype=np.uint8))
    stored = picture(noise)
    assert stored.startswith("data:image/jpeg") and len(stored) < 5 * LARGEST_PNG
    assert picture(Image.new("L", (8, 8))).startswith("data:image/png")


def test_headers_that_are_alike_and_rows_of_other_lengths_are_refused():
    for columns, row in ((("a", "a"), ["1", "2"]), (("a", "b"), ["1"])):
        with pytest.raises(ValueError):
            Table(columns, [row], "x")


def test_a_page_that_cannot_be_filled_leaves_nothing_behind(tmp_path):
    def broken(ax):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        report(sections=(Section("x", panels=(Panel(broken, "x"),)),)).write(tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(jinja2.UndefinedError):
        render("report.html.j2")


def test_an_interval_in_words():
    assert interval({"value": 0.5, "lower": -1.0, "upper": 2.25}, "+.2f") == "[-1.00, +2.25]"


@pytest.mark.parametrize(
    ("value", "half", "said"),
    [
        (156.5765, 9.9494, "157 [147, 167]"),
        (54.0505, 1.234, "54.1 [52.8, 55.3]"),
        (0.5, 0.0356, "0.50 [0.46, 0.54]"),
        (1234.5, 120.0, "1234 [1114, 1354]"),
        (2.25e-7, 1.5e-8, "2.25e-07 [2.10e-07, 2.40e-07]"),
        (1e-9, 4e-8, "1e-09 [-4e-08, 4e-08]"),
        (0.0, 0.0, "0 [0, 0]"),
        (1.2345, float("inf"), "1.23 [-inf, inf]"),
    ],
)
def test_a_number_has_the_digits_that_its_interval_supports(value, half, said):
    estimate = {"value": value, "lower": value - half, "upper": value + half}
    form = supported(estimate)
    assert f"{value:{form}} {interval(estimate, form)}" == said


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
    assert np.asarray(image_grid(images, least_side=1, columns=5)).shape == (4, 20, 3)


def test_panels_stand_in_rows_from_the_left(monkeypatch, tmp_path):
    seen, figure = [], Figure()
    monkeypatch.setattr(page, "save_figure", lambda *given: seen.append(given))
    page.save_panels([Panel(line, name) for name in "abcd"], 3, tmp_path / "p.png")
    ((draw, size, path),) = seen
    draw(figure)
    places = [ax.get_subplotspec().get_geometry()[:3] for ax in figure.axes]
    assert places == [(2, 3, place) for place in range(4)]
    assert size == (3 * page.PANEL_WIDTH, 2 * page.PANEL_HEIGHT) and path == tmp_path / "p.png"
