"""State dictionaries: found in the content of a file, and loaded into a network.

A network is built without memory (on torch's meta device) and takes the file's own tensors, so that
neither random numbers nor memory are spent on weights that are thrown away.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from theory.support.errors import InputError, one_line

PREFIX = "module."
"""Prefix that torch's data-parallel training puts before every name."""

SHOWN = 3
"""How many names a message shows."""

Network = TypeVar("Network", bound=nn.Module)
Inferred = TypeVar("Inferred")


def state_of(content: Any) -> dict[str, Tensor]:
    """The state dictionary in a file's content, names without ``module.``; {} if there is none.

    Of a list, as DDIM saves its training, the last entry counts: the moving average.
    """
    if isinstance(content, list | tuple) and content:
        content = content[-1]
    if not isinstance(content, Mapping) or not content:
        return {}
    if not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()):
        return {}
    return {name.removeprefix(PREFIX): tensor for name, tensor in content.items()}


def inferred(
    infer: Callable[[Mapping[str, Tensor]], Inferred],
    required: Sequence[str],
    state: Mapping[str, Tensor],
    reference: str,
) -> Inferred:
    """The architecture that ``infer`` reads from the names and shapes of a state.

    Raises:
        InputError: one of the ``required`` names is absent, or the shapes make no sense.
    """
    absent = [name for name in required if name not in state]
    if absent:
        raise InputError(f"checkpoint: {reference} is of another family: it lacks {absent[0]}")
    try:
        return infer(state)
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise InputError(
            f"checkpoint: {reference} has weights that make no network: {one_line(error)}"
        ) from error


def with_weights(make: Callable[[], Network], state: Mapping[str, Tensor], what: str) -> Network:
    """The network that ``make`` builds, holding the tensors of ``state`` in their own dtype.

    It is built without memory, so that nothing is allocated for tensors that the file lacks. It is
    in evaluation mode and has no gradients. Messages call it ``what``.

    Raises:
        InputError: the network cannot be built, or a tensor is missing, left over, of another shape
            or not in floating point.
    """
    try:
        with torch.device("meta"):
            network = make()
    except (ArithmeticError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"checkpoint: cannot build {what}: {one_line(error)}") from error
    _require_fit(network.state_dict(), state, what)
    network.load_state_dict(dict(state), strict=True, assign=True)
    return network.eval().requires_grad_(False)


def _require_fit(expected: Mapping[str, Tensor], got: Mapping[str, Tensor], what: str) -> None:
    for difference, names in (
        ("lacks", [name for name in expected if name not in got]),
        ("has no place for", [name for name in got if name not in expected]),
    ):
        if names:
            raise InputError(f"checkpoint: {what} {difference} {_some(names)}")
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
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
