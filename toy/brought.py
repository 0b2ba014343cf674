"""What a user brings to be tried: a schedule or a model, named as FILE.py:NAME.

A schedule is a ``theory.schedules.Schedule``, or a class of them that needs no arguments.

A model is either of

- a ``Model``: predict(x_t, t, condition=None) -> y beside the diffusion that it is a model of and
  the target that it predicts;
- a function score(x_t, t, diffusion) -> score, a formula for any diffusion of a mixture.

Points x_t are (n, d) and times t (n,), both float64; so must be what comes back, (n, d).
"""

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.errors import InputError
from theory.schedules import Schedule
from theory.targets import SCORE, Target
from toy.diffusion import Diffusion

Predict = Callable[..., Tensor]


@dataclass(frozen=True)
class Model:
    """A network's stand-in, and the exact diffusion that it is held against."""

    predict: Predict
    diffusion: Diffusion
    target: Target = SCORE

    def at(self, x_t: Float64[Tensor, "n d"], t: float) -> Float64[Tensor, "n d"]:
        """The prediction at points (n, d) and one time.

        Raises:
            InputError: what comes back is not a float64 tensor of the same shape.
        """
        y = self.predict(x_t, torch.full((len(x_t),), t, dtype=torch.float64))
        if not isinstance(y, Tensor) or y.shape != x_t.shape or y.dtype != torch.float64:
            got = f"{tuple(y.shape)} {y.dtype}" if isinstance(y, Tensor) else type(y).__name__
            raise InputError(f"model: expected a float64 tensor {tuple(x_t.shape)}, got {got}")
        return y.detach()


@dataclass(frozen=True)
class Formula:
    """A score for any diffusion: score(x_t, t, diffusion)."""

    score: Predict

    def model(self, diffusion: Diffusion) -> Model:
        """The model of one diffusion."""
        return Model(partial(self.score, diffusion=diffusion), diffusion)


def load(reference: str) -> Any:
    """The object NAME of FILE.py:NAME.

    Raises:
        InputError: another form, no such file, a file that cannot be run, no such name.
    """
    file, _, name = reference.rpartition(":")
    path = Path(file)
    if path.suffix != ".py" or not name:
        raise InputError(f"expected FILE.py:NAME, got {reference!r}")
    if not path.is_file():
        raise InputError(f"no file {path}")
    module_name = f"brought_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise InputError(f"cannot load {path}: {described(error)}") from error
    if not hasattr(module, name):
        raise InputError(f"no {name} in {path}")
    return getattr(module, name)


def described(error: BaseException) -> str:
    """An exception in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def load_schedule(reference: str) -> Schedule:
    """The schedule FILE.py:NAME.

    Raises:
        InputError: as for ``load``, or something else than a schedule.
    """
    value = load(reference)
    if isinstance(value, type) and issubclass(value, Schedule):
        try:
            value = value()
        except Exception as error:
            raise InputError(f"cannot build {reference}: {described(error)}") from error
    if not isinstance(value, Schedule):
        raise InputError(f"{reference}: expected a Schedule, got {type(value).__name__}")
    if not value.t_min < value.t_max:
        raise InputError(f"{reference}: expected t_min < t_max, got {value.t_min}, {value.t_max}")
    return value


def load_model(reference: str) -> Model | Formula:
    """The model FILE.py:NAME.

    Raises:
        InputError: as for ``load``, or neither a ``Model`` nor a function.
    """
    value = load(reference)
    if isinstance(value, Model):
        return value
    if isinstance(value, type) or not callable(value):
        raise InputError(
            f"{reference}: expected a toy.brought.Model or a function score(x_t, t, diffusion), "
            f"got {type(value).__name__}"
        )
    return Formula(value)
