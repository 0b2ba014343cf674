"""Sums that lie where what they add up lies: on the network's device, if it has room for them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from theory.forward.forward_pass import Observation
from theory.statistics.moments import Moments

Own = TypeVar("Own", bound="OnOneDevice")


class OnOneDevice:
    """Attributes that are tensors, ``Moments`` or others of this kind, all on one device.

    Those that are not named in ``fixed`` are sums: sums of other images are added to them.
    """

    fixed: ClassVar[frozenset[str]] = frozenset()

    def members(self) -> Iterable[tuple[str, Any]]:
        """What it is made of, by name."""
        return list(vars(self).items())

    def to_(self: Own, device: Any) -> Own:
        """Move all of them, in place."""
        for name, value in self.members():
            if isinstance(value, Tensor | Moments):
                setattr(self, name, value.to(device))
            elif isinstance(value, OnOneDevice):
                value.to_(device)
        return self

    def tensors(self) -> dict[str, Tensor]:
        """The sums by name, as they are and no copies."""
        found: dict[str, Tensor] = {}
        for name, value in self.members():
            if isinstance(value, Tensor) and name not in self.fixed:
                found[name] = value
            elif isinstance(value, OnOneDevice | Moments):
                found |= {f"{name}.{part}": tensor for part, tensor in value.tensors().items()}
        return found

    def beside(self, seen: Observation) -> Observation:
        """The observation on the device of the sums, which move to its own if there is room."""
        try:
            self.to_(seen.device)
        except torch.OutOfMemoryError:
            self.to_("cpu")
            return seen.to("cpu")
        return seen


class Sums(OnOneDevice, ABC):
    """Sums over the observations of one time."""

    @abstractmethod
    def add_(self, seen: Observation) -> None:
        """Take in an observation, in place. An image must not come twice."""
