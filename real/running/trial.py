"""A call of a network for its own sake: to see that it works, or how long it takes."""

from typing import Any

import torch
from torch import Tensor

from real.families.checkpoint import Checkpoint


@torch.no_grad()
def trial(checkpoint: Checkpoint, size: int, device: torch.device) -> Tensor:
    """The prediction (size, *shape) for blank images at the noisiest time."""
    x_t = torch.zeros(size, *checkpoint.shape, device=device)
    t = checkpoint.schedule.grid(2)[-1]
    t = t.to(device, x_t.dtype if t.is_floating_point() else t.dtype).expand(size)
    return checkpoint.predict(x_t, t, any_condition(checkpoint, size))


def any_condition(checkpoint: Checkpoint, size: int) -> Any:
    """Some condition for each image, as the network takes them; None for an unconditional one."""
    if checkpoint.conditions is None:
        return None
    if checkpoint.conditions == "text":
        return [""] * size
    return torch.zeros(size, dtype=torch.int64)
