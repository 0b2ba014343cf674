"""State dictionaries: finding them in what a file holds, and putting them into a network.

A network is made without memory (on torch's meta device) and takes the file's own tensors, so that
neither random numbers nor memory are spent on weights that are thrown away.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from theory.support.errors import InputError, one_line

PREFIX = "module."
SHOWN = 3

Network = TypeVar("Network", bound=nn.Module)
Architecture = TypeVar("Architecture")


def state_of(content: Any) -> dict[str, Tensor]:
    """The state dictionary in what a file holds, without ``module.`` prefixes; {} if there is none.

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
    infer: Callable[[Mapping[str, Tensor]], Architecture],
    telling: Sequence[str],
    state: Mapping[str, Tensor],
    reference: str,
) -> Architecture:
    """The architecture that ``infer`` reads from the names and shapes of a state.

    Raises:
        InputError: one of the names that ``telling`` lists is not there, or shapes make no sense.
    """
    absent = [name for name in telling if name not in state]
    if absent:
        raise InputError(f"checkpoint: {reference} is of another family: it lacks {absent[0]}")
    try:
        return infer(state)
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise InputError(
            f"checkpoint: {reference} has weights that make no network: {one_line(error)}"
        ) from error


def filled(build: Callable[[], Network], state: Mapping[str, Tensor], reference: str) -> Network:
    """The network with the weights of a state, in float32, frozen.

    Raises:
        InputError: it cannot be built, or names or shapes differ.
    """
    try:
        with torch.device("meta"):
            network = build()
    except (ValueError, TypeError, RuntimeError, ZeroDivisionError) as error:
        raise InputError(
            f"checkpoint: {reference} has weights that make no network: {one_line(error)}"
        ) from error
    _require_fit(network.state_dict(), state, reference)
    floats = {name: tensor.to(torch.float32) for name, tensor in state.items()}
    network.load_state_dict(floats, assign=True)
    return network.eval().requires_grad_(False)


def _require_fit(expected: Mapping[str, Tensor], got: Mapping[str, Tensor], reference: str) -> None:
    for what, names in (
        ("lacks", sorted(expected.keys() - got.keys())),
        ("has besides what was expected", sorted(got.keys() - expected.keys())),
    ):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            raise InputError(f"checkpoint: {reference} {what}: {', '.join(names[:SHOWN])}{more}")
    for name, tensor in expected.items():
        if got[name].shape != tensor.shape:
            raise InputError(
                f"checkpoint: {reference}: expected {name} of shape {tuple(tensor.shape)}, "
                f"got {tuple(got[name].shape)}"
            )
