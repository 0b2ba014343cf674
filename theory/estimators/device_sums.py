"""Sums that lie where what they add up lies: on the network's device, if it has room for them."""

from abc import ABC, abstractmethod
from typing import Any, TypeVar

import torch
from torch import Tensor

from theory.forward.forward_pass import Observation
from theory.statistics.moments import Moments

Own = TypeVar("Own", bound="OnOneDevice")


class OnOneDevice:
    """Attributes that are tensors, ``Moments`` or others of this kind, all on one device."""

    def to_(self: Own, device: Any) -> Own:
        """Move all of them, in place."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor | Moments):
                setattr(self, name, value.to(device))
            elif isinstance(value, OnOneDevice):
                value.to_(device)
        return self

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        of_tensors = [value.nbytes for value in vars(self).values() if isinstance(value, Tensor)]
        of_moments = [m.total.nbytes for m in vars(self).values() if isinstance(m, Moments)]
        others = [o.nbytes for o in vars(self).values() if isinstance(o, OnOneDevice)]
        return sum([*of_tensors, *of_moments, *others])

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
