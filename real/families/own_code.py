"""Load a user's own network, named as FILE.py:NAME. The file is run: it is the user's own wish.

NAME is one of

- a ``real.checkpoints.Checkpoint``, or any object with attributes ``predict``, ``schedule``,
  ``target``, ``shape`` and, where it has them, ``conditions``, ``null_condition`` and ``data_range``
  (low, high) of its images, if that is not -1 to 1;
- a tuple (predict, schedule, target, shape) or (predict, schedule, target, shape, conditions);
- a function or class without arguments that makes one of these.

``predict`` is a ``torch.nn.Module`` or another callable: predict(x_t, t) -> y for x_t (b, *shape) and
times t (b,), or predict(x_t, t, condition) where there are conditions. A module is moved to the
device, called in its own dtype, and set to evaluation; another callable looks after itself.
"""

import difflib
import hashlib
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from real.families.checkpoint import Checkpoint
from real.families.conditions import refuse_condition
from real.families.data_range import in_range
from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import Target
from theory.diffusion.targets import named as named_target
from theory.forward.fingerprints import fingerprint
from theory.forward.network import Predict
from theory.support.errors import InputError, one_line_with_type
from theory.support.memory import is_out_of_memory
from theory.support.user_code import load_object

NAME = "own"
NEEDED = ("predict", "schedule", "target", "shape")
CALLING = (__file__, torch.nn.modules.module.__file__)
"""Files that call a network: it was not even entered where one of them fails."""

ALIKE = 0.85
"""How alike two names are of which one is taken for a misspelling of the other."""

OPTIONAL = ("conditions", "null_condition", "data_range")


def load(reference: str, device: Any) -> Checkpoint:
    """The checkpoint that FILE.py:NAME describes.

    Raises:
        InputError: there is no such file or name, the file or the function in it fails, or NAME is
            not as this module says.
    """
    try:
        named = load_object(reference)
    except InputError as error:
        raise InputError(f"checkpoint: {error}") from error
    made = _made(named, reference)
    if isinstance(made, Checkpoint):
        for module in made.modules.values():
            module.to(device)
        return made
    _refuse_misspelt(made, reference)
    values = {part: getattr(made, part) for part in NEEDED}
    values |= {part: getattr(made, part, None) for part in OPTIONAL}
    if isinstance(values["target"], str):
        values["target"] = named_target(values["target"])
    _require_kinds(values, reference)
    network, shape = values["predict"], tuple(values["shape"])
    modules = {"network": network} if isinstance(network, nn.Module) else {}
    if modules:
        network.to(device).eval().requires_grad_(False)
    checkpoint = Checkpoint(
        reference=reference, family=NAME,
        predict=_predictor(network, values["conditions"], reference), schedule=values["schedule"],
        target=values["target"], shape=shape, conditions=values["conditions"],
        null_condition=values["null_condition"],
        fingerprint=_fingerprint(network, Path(reference.rpartition(":")[0])), modules=modules,
    )  # fmt: skip
    data_range = values["data_range"]
    return checkpoint if data_range is None else in_range(checkpoint, *map(float, data_range))


def _made(value: Any, reference: str) -> Any:
    """The object of that name, or what it returns if it is a function or class."""
    if isinstance(value, type) or (callable(value) and not hasattr(value, "predict")):
        try:
            value = value()
        except (Exception, SystemExit) as error:
            raise InputError(
                f"checkpoint: {reference}() fails: {one_line_with_type(error)}"
            ) from error
    if isinstance(value, tuple) and len(value) in (len(NEEDED), len(NEEDED) + 1):
        value = SimpleNamespace(**dict(zip((*NEEDED, "conditions"), value, strict=False)))
    missing = [part for part in NEEDED if not hasattr(value, part)]
    if missing:
        raise InputError(
            f"checkpoint: {reference}: expected {', '.join(NEEDED)} (an object with these, a tuple "
            f"of them, or a function that returns one), got {type(value).__name__} "
            f"without {', '.join(missing)}"
        )
    return value


def _refuse_misspelt(made: Any, reference: str) -> None:
    """Refuse an attribute whose name is nearly that of one which is looked for and not there."""
    own = [name for name in dir(made) if name not in (*NEEDED, *OPTIONAL)]
    for wanted in OPTIONAL:
        close = difflib.get_close_matches(wanted, own, 1, ALIKE)
        if close and not hasattr(made, wanted):
            raise InputError(f"checkpoint: {reference}: expected {wanted}, got {close[0]}")


def _require_kinds(values: dict[str, Any], reference: str) -> None:
    shape, conditions = values["shape"], values["conditions"]
    sides = shape if isinstance(shape, tuple | list) else ()
    whole = all(isinstance(length, int) and length > 0 for length in sides)
    scheduled = isinstance(values["schedule"], Schedule)
    conditioned = conditions in (None, "text") or (isinstance(conditions, int) and conditions > 0)
    for what, holds in (
        ("predict callable", callable(values["predict"])),
        ("a theory.diffusion.schedules.Schedule as schedule", scheduled),
        (
            "a theory.diffusion.targets.Target or its name as target",
            isinstance(values["target"], Target),
        ),
        ("positive whole numbers as shape", len(sides) > 0 and whole),
        ("two numbers as data_range", _is_pair(values["data_range"])),
        ("a number of classes, 'text' or None as conditions", conditioned),
        ("a null_condition that is one of the labels, or the one after them", _is_null(values)),
    ):
        if not holds:
            raise InputError(f"checkpoint: {reference}: expected {what}")


def _is_null(values: dict[str, Any]) -> bool:
    """Whether the condition that stands for none fits the conditions."""
    null, conditions = values["null_condition"], values["conditions"]
    if null is None or conditions == "text":
        return True
    return isinstance(null, int) and conditions is not None and 0 <= null <= conditions


def _is_pair(data_range: Any) -> bool:
    if data_range is None:
        return True
    numbers = isinstance(data_range, tuple | list) and len(data_range) == 2
    return numbers and all(isinstance(end, int | float) for end in data_range)


def _predictor(network: Predict, conditions: Any, reference: str) -> Predict:
    weights = list(network.parameters()) if isinstance(network, nn.Module) else []

    def predict(x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        """The prediction (b, *shape) at x_t and times t (b,), in the dtype of x_t."""
        if conditions is None:
            refuse_condition(condition, reference)
        inputs = (x_t.to(weights[0]), t.to(weights[0].device)) if weights else (x_t, t)
        try:
            y = network(*inputs) if condition is None else network(*inputs, condition)
        except (Exception, SystemExit) as error:  # whatever the user's own code does
            if isinstance(error, InputError) or is_out_of_memory(error):
                raise
            raise InputError(
                f"checkpoint: {reference} fails at {_where(error, reference)}, called with x_t "
                f"{tuple(x_t.shape)} at t = {t.flatten()[0].item():g}: {one_line_with_type(error)}"
            ) from error
        if not isinstance(y, Tensor) or y.shape != x_t.shape:
            got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise InputError(
                f"checkpoint: {reference}: expected a prediction of shape {tuple(x_t.shape)}, "
                f"got {got}"
            )
        return y.to(x_t)

    return predict


def _where(error: BaseException, reference: str) -> str:
    """File and line of the user's code that was run last, or else of the code that raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = Path(reference.rpartition(":")[0]).resolve()
    last = next((f for f in reversed(frames) if Path(f.filename).resolve() == own), frames[-1])
    if last.filename in CALLING:
        return "its call"
    return f"{Path(last.filename).name}:{last.lineno}"


def _fingerprint(network: Any, path: Path) -> str:
    """Digest of the weights of a module that has some, else of the file."""
    state = network.state_dict() if isinstance(network, nn.Module) else {}
    tensors = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    if tensors:
        return fingerprint(tensors.items(), type(network).__qualname__)
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
