"""Labels and texts: what stands for none, and what is refused."""

import torch

from real.families.conditions import Labels, Texts
from tests.refusals import refusal


def test_labels_are_whole_numbers_of_known_classes():
    labels = Labels(5)
    assert labels([0, 4], 2, "cpu").tolist() == [0, 4]
    for given, message in (
        (torch.tensor([0, 5]), "got 5"),
        (torch.tensor([-1, 0]), "got -1"),
        (torch.tensor([0]), r"got torch.int64 of shape \(1,\)"),
        (torch.tensor([0.0, 1.0]), "got torch.float32"),
        (torch.tensor([True, False]), "got torch.bool"),
        (torch.tensor([1j, 0]), "got torch.complex64"),
        ("ab", "got 'ab'"),
        (None, "got no condition"),
    ):
        with refusal(f"expected 2 class labels below 5, {message}", given):
            labels(given, 2, "cpu")


def test_the_label_of_no_class_stands_for_none():
    labels = Labels(5, null=7)
    assert labels(None, 2, "cpu").tolist() == labels([7, 7], 2, "cpu").tolist() == [7, 7]
    with refusal(r"expected 2 class labels below 5 \(or 7 for none\), got 6"):
        labels([0, 6], 2, "cpu")


def test_texts_are_encoded_once_each():
    encoded = []

    def encode(text):
        encoded.append(text)
        return (torch.full((1, 2), float(len(text))),)

    texts = Texts(encode)
    for _ in range(2):
        assert texts(["a", "bb", "a"], 3, "cpu")[0].tolist() == [[1, 1], [2, 2], [1, 1]]
    assert encoded == ["a", "bb"]
    for given in ("ab", ["one"], ["one", 2], torch.zeros(2), ["a", "b", "c"]):
        with refusal("expected a list of 2 texts, got", given):
            texts(given, 2, "cpu")
