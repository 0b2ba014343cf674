"""Arrays that lie in memory, or in temporary files where all of them together would not fit."""

import os
import tempfile
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

WHOLE = slice(None)


class LargeArray:
    """Numbers (..., d) of which a part of the last dimension can be read.

    A temporary file has no name and goes with the array; it lies where ``TMPDIR`` says.

    Args:
        values: the numbers.
        in_file: whether they are written to a file.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, values: Float64[Tensor, "*many d"], *, in_file: bool) -> None:
        self.shape = tuple(values.shape)
        self._values = None if in_file else values
        self._file: BinaryIO | None = None
        if in_file:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it is read as long as this lives
            self._file.write(values.contiguous().numpy().data)
            self._file.flush()

    def part(self, cells: slice = WHOLE) -> Float64[Tensor, "*many k"]:
        """The numbers [..., cells]."""
        if self._values is not None:
            return self._values[..., cells]
        first, end, _ = cells.indices(self.shape[-1])
        read = np.empty((int(np.prod(self.shape[:-1])), end - first))
        if self._file is not None:
            for k, row in enumerate(read):
                os.preadv(self._file.fileno(), [row.data], 8 * (k * self.shape[-1] + first))
        return torch.from_numpy(read.reshape(*self.shape[:-1], end - first))
