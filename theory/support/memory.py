"""What tells that an error is one of memory."""

import torch

SIGNS = ("out of memory", "not enough memory", "can't allocate memory", "status_alloc_failed")
"""Parts of the messages of CUDA, MPS, the CPU's allocator, cuBLAS and cuDNN."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in SIGNS)
