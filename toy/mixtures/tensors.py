"""Numbers as tensors."""

from typing import Any

import torch
from torch import Tensor


def float64(numbers: Any) -> Tensor:
    """A number, or nested sequences of numbers, as a float64 tensor."""
    return torch.tensor(numbers, dtype=torch.float64)
