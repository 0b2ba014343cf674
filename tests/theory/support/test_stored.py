"""Files of tensors: what was put in comes out, whatever memory the tensors share."""

from pathlib import Path

import torch

from theory.support import stored
from theory.support.stored import Contents

FORMAT = "a format 1"


def test_tensors_of_one_memory_are_written_each(tmp_path: Path):
    one = torch.arange(6.0).reshape(2, 3)
    tensors = {"one": one, "again": one, "turned": one.T, "part": one[1], "other": one.clone()}
    stored.write(tmp_path / "file", Contents(tensors, {"text": "said"}), FORMAT)
    with stored.reading(tmp_path / "file", "file", FORMAT) as found:
        assert found.texts["text"] == "said"
        assert found.tensors.keys() == tensors.keys()
        assert all(torch.equal(found.tensors[name], tensors[name]) for name in tensors)
