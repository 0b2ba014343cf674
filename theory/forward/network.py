"""A network as it is measured: how it is called, and what its output stands for."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from theory.diffusion.data_range import DataRange
from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import Target
from theory.forward.mixed_times import MixedTimes
from theory.support.checks import kind_of, require_kind
from theory.support.errors import InputError

Predict = Callable[..., Tensor]
"""predict(x_t, t, condition=None) -> y, for x_t (b, *shape) and t (b,)."""


@dataclass(frozen=True)
class Network:
    """A callable with its schedule and its target.

    Attributes:
        predict: predict(x_t, t, condition=None) -> y, for x_t (b, *shape) and t (b,).
        schedule: alpha_t and sigma_t; its times are those of the network.
        target: what the network predicts, y = A_t x_0 + B_t e.
        reference: another network of the same target, whose prediction takes the place of the
            known target; None for the known target itself.
        mixed_times: whether it takes images at several times in one call, once that was asked.

    Raises:
        InputError: a network that cannot be called, or another kind of schedule or target.
    """

    predict: Predict
    schedule: Schedule
    target: Target
    reference: Predict | None = None
    mixed_times: MixedTimes = field(
        init=False, repr=False, compare=False, default_factory=MixedTimes
    )

    def __post_init__(self) -> None:
        for what, call in (("network", self.predict), ("reference", self.reference)):
            if not callable(call) and (call is not None or what == "network"):
                raise InputError(f"{what}: expected a function of (x_t, t), got {kind_of(call)}")
        require_kind("schedule", self.schedule, Schedule)
        require_kind("target", self.target, Target)


def clipped(network: Network, data_range: DataRange) -> Network:
    """The network with its predictions of x_0 clipped to the range of the data."""

    def predict(x_t: Tensor, t: Tensor, *condition: Any) -> Tensor:
        """As the network predicts, within the range."""
        y = network.predict(x_t, t, *condition)
        return data_range.clip(y, x_t, t, network.target, network.schedule)

    return replace(network, predict=predict)
