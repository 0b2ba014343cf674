"""Tables of texts or labels: what they may hold, and what is said of what they may not."""

import json

import pytest
import torch
from PIL import Image

from real.images.folder import folder_source
from tests.refusals import refusal

SHAPE = (1, 8, 8)


def table(folder, rows):
    for k in range(3):
        Image.new("L", (8, 8), 80 * k).save(folder / f"{k}.png")
    (folder / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder_source(folder, SHAPE)


def rows(**more):
    return [
        {"file_name": f"{k}.png"} | {name: value(k) for name, value in more.items()}
        for k in range(3)
    ]


def test_labels_of_a_jsonl_are_classes(tmp_path):
    source = table(tmp_path, rows(label=lambda k: 5 - k))
    assert torch.equal(source.labels, torch.tensor([5, 4, 3]))


def test_texts_come_before_labels(tmp_path):
    source = table(tmp_path, rows(text=str, label=lambda k: k))
    assert source.labels == ["0", "1", "2"]


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"label": "1"},
        {"label": -1},
        {"label": 1.5},
        {"label": True},
        {"label": 2**63},
        {"text": 1},
    ],
)
def test_the_fields_are_named_where_they_are_missing(tmp_path, bad):
    with refusal(
        "expected an object with file_name, and text or label .a whole number., in line 2"
    ):
        table(tmp_path, [{"file_name": "0.png", "label": 1}, {"file_name": "1.png"} | bad])


def test_texts_and_labels_are_not_mixed(tmp_path):
    with refusal("expected text in every line"):
        table(tmp_path, [{"file_name": "0.png", "label": 1}, {"file_name": "1.png", "text": "a"}])
