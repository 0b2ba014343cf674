"""Put the weights of a file into an architecture: every one of them, and nothing else."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from theory.support.errors import InputError, one_line

Network = TypeVar("Network", bound=nn.Module)


def filled(make: Callable[[], Network], state: Mapping[str, Tensor], what: str) -> Network:
    """The network that ``make`` builds, holding the tensors of ``state`` in their own dtype.

    It is built without memory, so that what a file asks for costs nothing until its tensors turn
    out to be there. In evaluation mode, without gradients.

    Raises:
        InputError: it cannot be built, or a tensor is missing, left over, of another shape, or no
            floating-point one; ``what`` names the network.
    """
    try:
        with torch.device("meta"):
            network = make()
    except (ArithmeticError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"checkpoint: cannot build {what}: {one_line(error)}") from error
    _require_same(network.state_dict(), state, what)
    network.load_state_dict(dict(state), strict=True, assign=True)
    return network.eval().requires_grad_(False)


def _require_same(expected: Mapping[str, Tensor], got: Mapping[str, Tensor], what: str) -> None:
    missing = [name for name in expected if name not in got]
    if missing:
        raise InputError(f"checkpoint: {what} lacks {_some(missing)}")
    extra = [name for name in got if name not in expected]
    if extra:
        raise InputError(f"checkpoint: {what} has no place for {_some(extra)}")
    for name, tensor in got.items():
        if tensor.shape != expected[name].shape:
            raise InputError(
                f"checkpoint: {what}: expected {name} of shape {tuple(expected[name].shape)}, "
                f"got {tuple(tensor.shape)}"
            )
        if not tensor.is_floating_point():
            raise InputError(
                f"checkpoint: {what}: expected {name} in floating point, got {tensor.dtype}"
            )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
