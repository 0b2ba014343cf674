"""State dictionaries: found in the content of a file, and loaded into a network.

A network is built without memory (on torch's meta device) and takes the file's own tensors, so that
neither random numbers nor memory are spent on weights that are thrown away.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from theory.support.errors import InputError, one_line

AVERAGES = ("ema", "ema_model", "model_ema", "ema_state_dict", "state_dict_ema")
WEIGHTS = ("state_dict", "model_state_dict", "model", "net", "unet", "network")
"""Names under which training programs save a network's weights, or their moving average."""

PARALLEL = "module."
"""What torch's data-parallel training puts before every name."""

PREFIXES = (PARALLEL, "_orig_mod.", "model.diffusion_model.", "ema_model.", "model.")
"""What training programs put before every name: data-parallel, compiled and wrapped networks."""

WHOLE = "model.diffusion_model."
"""Prefix of the denoiser in a file that also holds an autoencoder or a text network."""

SHOWN = 3
"""How many names a message shows."""

Network = TypeVar("Network", bound=nn.Module)
Inferred = TypeVar("Inferred")


def state_of(content: Any) -> dict[str, Tensor]:
    """The state dictionary in a file's content, without what wraps it; {} if there is none.

    Of a list, as DDIM saves its training, the last entry counts. Of a mapping with weights and their
    moving average, the average counts; of several weights none does, as nothing tells which.
    """
    if isinstance(content, list | tuple) and content:
        content = content[-1]
    if not isinstance(content, Mapping) or not content:
        return {}
    if _is_state(content):
        return _without_prefixes(content)
    for names in (AVERAGES, WEIGHTS):
        found = [content[name] for name in names if isinstance(content.get(name), Mapping)]
        states = [state for state in map(state_of, found) if state]
        if states:
            return states[0] if len(states) == 1 else {}
    return {}


def _is_state(content: Mapping[Any, Any]) -> bool:
    return all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())


def _without_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without the prefixes that all of them have; only the denoiser of a larger model."""
    own = {name: tensor for name, tensor in state.items() if name.startswith(WHOLE)} or dict(state)
    for prefix in PREFIXES:
        if own and all(name.startswith(prefix) for name in own):
            return _without_prefixes({n.removeprefix(prefix): t for n, t in own.items()})
    return own


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
