"""Checks of a user's schedule or model before it is tried: that it has the right kind and shapes.

Every function of a schedule must return float64 of the shape of its times, and automatic
differentiation must see through alpha and sigma, as claims compare with their derivatives.
"""

import inspect
import math
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from theory.diffusion.schedules import DiscreteSchedule, Schedule
from theory.diffusion.targets import Target
from theory.support.errors import InputError, one_line_with_type
from toy.falsifier.user_models import Formula, Model, require_like
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64

PLACES = 16
"""Times at which a schedule is asked for its values."""

OF_TIME = ("alpha", "sigma", "d_alpha", "d_sigma", "log_snr", "d_log_snr", "drift", "diffusion_sq")


def as_schedule(value: Any, reference: str) -> Schedule:
    """What FILE.py:NAME holds, as a schedule; a class of schedules is built without arguments.

    Raises:
        InputError: something else than a schedule; ends or values of another kind; an alpha or sigma
            that automatic differentiation does not see through.
    """
    if isinstance(value, type) and issubclass(value, Schedule):
        try:
            value = value()
        except (Exception, SystemExit) as error:
            raise InputError(f"cannot build {reference}: {one_line_with_type(error)}") from error
    if not isinstance(value, Schedule):
        raise InputError(f"{reference}: expected a Schedule, got {type(value).__name__}")
    require_schedule(value, reference)
    for name in ("alpha", "sigma"):
        _require_differentiable(value, name, reference)
    return value


def as_model(value: Any, reference: str) -> Model | Formula:
    """What FILE.py:NAME holds, as a model of one diffusion or a formula for any.

    Raises:
        InputError: neither a ``Model`` nor a function; a ``Model`` whose parts are of another kind,
            or which answers differently when asked again; a function score(x_t, t) in a file that
            does not hold exactly one diffusion.
    """
    if isinstance(value, type) or not (isinstance(value, Model) or callable(value)):
        raise InputError(
            f"{reference}: expected a toy.Model or a function score(x_t, t, diffusion) or "
            f"score(x_t, t), got {type(value).__name__}"
        )
    if not isinstance(value, Model):
        if _takes_diffusion(value):
            return Formula(value)
        value = Model(value, _only_diffusion(value, reference))
    _require_model(value, reference)
    return value


def _takes_diffusion(function: Callable[..., Any]) -> bool:
    """Whether a function has a third parameter that must be given, or that is named diffusion."""
    try:
        known = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return True
    several = any(p.kind is p.VAR_POSITIONAL for p in known)
    third = [p for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][2:3]
    return several or any(p.default is p.empty or p.name == "diffusion" for p in third)


def _only_diffusion(function: Callable[..., Any], reference: str) -> Diffusion:
    """The diffusion in the file that a function comes from."""
    held = getattr(sys.modules.get(getattr(function, "__module__", "")), "__dict__", {})
    found = {name: value for name, value in held.items() if isinstance(value, Diffusion)}
    if len({id(value) for value in found.values()}) != 1:
        raise InputError(
            f"{reference}: expected one toy.Diffusion in the file, whose score(x_t, t) it is, "
            f"got {', '.join(found) or 'none'}; a toy.Model says which, and "
            "score(x_t, t, diffusion) takes any"
        )
    return next(iter(found.values()))


def require_schedule(schedule: Schedule, reference: str) -> None:
    """Refuse a schedule whose ends are no numbers, or whose functions return something else.

    Raises:
        InputError: it is that, or one of its functions fails.
    """
    ends = [getattr(schedule, name, None) for name in ("t_min", "t_max")]
    numbers = all(isinstance(end, int | float) and math.isfinite(end) for end in ends)
    if not numbers or not schedule.t_min < schedule.t_max:
        raise InputError(f"{reference}: expected numbers t_min < t_max, got {ends[0]}, {ends[1]}")
    if type(schedule).__hash__ is None:  # cases are kept by their hash
        setattr(type(schedule), "__hash__", object.__hash__)  # noqa: B010
    times = places(schedule)
    for t in (times, times[0]):
        for name in OF_TIME:
            require_like(t, _called(getattr(schedule, name), reference, name, t), name)
        log_snr = schedule.log_snr(t).detach()
        require_like(t, _called(schedule.time_of, reference, "time_of", log_snr), "time_of")
        step = _called(schedule.transition, reference, "transition", t, times[-1].expand_as(t))
        if not isinstance(step, tuple) or len(step) != 2:
            raise InputError(f"transition: expected (A, V), got {type(step).__name__}")
        for part in step:
            require_like(t, part, "transition")


def places(schedule: Schedule) -> Tensor:
    """Times spread over the schedule, (``PLACES``,)."""
    shares = (torch.arange(PLACES, dtype=torch.float64) + 0.43) / PLACES
    return schedule.t_min + (schedule.t_max - schedule.t_min) * shares


def _called(function: Callable[..., Any], reference: str, name: str, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except (Exception, SystemExit) as error:
        raise InputError(f"{reference}: {name} fails: {one_line_with_type(error)}") from error


def _require_differentiable(schedule: Schedule, name: str, reference: str) -> None:
    """Refuse a function whose derivative differs from a difference quotient in most places."""
    length, value = schedule.t_max - schedule.t_min, getattr(schedule, name)
    times = places(schedule).requires_grad_()
    here = value(times)
    slopes = torch.zeros_like(times)
    if here.requires_grad:
        (slopes,) = torch.autograd.grad(here.sum(), times)
    off = torch.ones(PLACES, dtype=torch.bool)
    for step in (1e-6 * length, 1e-3 * length):  # the longer one for values of single precision
        with torch.no_grad():
            quotients = (value(times + step) - value(times - step)) / (2 * step)
        allowed = 1e-2 * torch.maximum(quotients.abs(), slopes.abs()) + 1e-6 * here.abs() / length
        off &= (slopes - quotients).abs() > allowed
    if off.sum() > PLACES / 2:
        raise InputError(
            f"{reference}: automatic differentiation does not see through {name}: write it with "
            "torch's functions, without numpy, .item(), .detach() or no_grad"
        )


def _require_model(model: Model, reference: str) -> None:
    diffusion = model.diffusion
    kinds = (
        (diffusion, Diffusion, "a toy.Diffusion"),
        (getattr(diffusion, "data", None), GaussianMixture, "the diffusion of a GaussianMixture"),
        (getattr(diffusion, "schedule", None), Schedule, "the diffusion under a Schedule"),
        (model.target, Target, "a theory.Target"),
    )
    for value, kind, expected in kinds:
        if not isinstance(value, kind):
            raise InputError(f"{reference}: expected {expected}, got {type(value).__name__}")
    if not callable(model.predict):
        raise InputError(f"{reference}: expected a function predict, got {model.predict!r}")
    if diffusion.data.log_weights.dim() != 1 or diffusion.data.means.dim() != 2:
        raise InputError(f"{reference}: expected one mixture, got a batch of them")
    require_schedule(diffusion.schedule, reference)
    t = _middle(diffusion.schedule)
    _require_target(model, t, reference)
    x = diffusion.marginal(t).means
    if not torch.equal(model.at(x, t).nan_to_num(), model.at(x, t).nan_to_num()):
        raise InputError(f"{reference}: the same prediction twice was expected, got two")


def _middle(schedule: Schedule) -> float:
    middle = (schedule.t_min + schedule.t_max) / 2
    return float(round(middle)) if isinstance(schedule, DiscreteSchedule) else middle


def _require_target(model: Model, t: float, reference: str) -> None:
    time = float64(t)
    coefficients = _called(
        model.target.coefficients, reference, "target", model.diffusion.schedule, time
    )
    if not isinstance(coefficients, tuple) or len(coefficients) != 2:
        raise InputError(f"target: expected (A, B), got {type(coefficients).__name__}")
    for coefficient in coefficients:
        require_like(time, coefficient, "target")
    if not abs(model.target.determinant(model.diffusion.schedule, time).item()) > 0:
        raise InputError(f"{reference}: the target does not determine the noise at t = {t:g}")
