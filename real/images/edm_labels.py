"""Class labels as EDM's data sets carry them: ``{"labels": [["00000/img00000000.png", 6], ...]}``."""

import torch
from torch import Tensor

from real.images.base import whole_labels
from theory.support.errors import InputError
from theory.support.safe_reading import TABLE_BYTES, parse_json

LABELS = "dataset.json"


def labels_of(content: bytes, names: list[str], where: str) -> Tensor | None:
    """Labels int64 (n,) of the images of these names; None where the file says there are none.

    Raises:
        InputError: the file is of another layout, or has no label for one of the images.
    """
    expected = f'data: expected {{"labels": [[name, number], ...]}} or null in {where}'
    try:
        pairs = parse_json(content, TABLE_BYTES)["labels"]
        if pairs is None:
            return None
        found = dict(pairs)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(expected) from error
    missing = next((name for name in names if name not in found), None)
    if missing is not None:
        raise InputError(f"data: {where} has no label for {missing}")
    values = [found[name] for name in names]
    if not all(type(value) is int and abs(value) < 2**31 for value in values):
        raise InputError(expected)
    return whole_labels(torch.tensor(values, dtype=torch.int64), len(names), where)
