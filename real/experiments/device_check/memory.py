"""Running out of memory on purpose: does halving the batch go on, with the same result?"""

from typing import Any

import torch

from real.experiments.device_check.agreement import relative
from real.experiments.device_check.subjects import subject
from real.running import WithinMemory
from real.solvers.sampling import latents

NETWORK = "unet-36m"
BATCH = 128
ROOM = 0.4
"""Share of the memory that a call on the whole batch takes which is left to it."""


@torch.no_grad()
def halving(device: torch.device) -> dict[str, Any] | None:
    """Call a network with too little memory for the batch; None where memory cannot be bounded."""
    if device.type != "cuda":
        return None
    device = torch.device(
        "cuda", torch.cuda.current_device() if device.index is None else device.index
    )
    checkpoint = subject(NETWORK, device)
    x_t = latents(checkpoint, BATCH, 0).to(device)
    t = torch.full((BATCH,), 500, device=device)
    checkpoint.predict(x_t[:2], t[:2])  # what libraries take once
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    expected = checkpoint.predict(x_t, t)
    needed = torch.cuda.max_memory_allocated(device) - before
    whole = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((before + ROOM * needed) / whole, device)
    try:
        careful = WithinMemory(checkpoint.predict)
        found = careful(x_t, t)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    return {
        "network": NETWORK, "batch_size": BATCH, "room": ROOM, "settled_on": careful.most,
        "difference": relative(found, expected),
    }  # fmt: skip
