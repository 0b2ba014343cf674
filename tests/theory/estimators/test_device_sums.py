"""Sums lie where observations lie. PyTorch's meta device stands for any other than the CPU."""

from dataclasses import fields

import pytest
import torch

from tests.draws import normal
from theory.estimators.affine_sums import AffineSums
from theory.estimators.class_shift import ClassSums
from theory.estimators.control_variates import NAMED
from theory.estimators.device_sums import OnOneDevice, Sums
from theory.forward.forward_pass import GROUPS, Observation

SHAPE, DRAWS, IMAGES = (1, 4, 6), 4, 40
MAKERS = {
    **{name: lambda name=name: NAMED[name].collector(SHAPE) for name in NAMED},
    "affine": lambda: AffineSums(SHAPE),
    "classes": lambda: ClassSums(SHAPE, 3),
}


class Forgetful(Sums):
    """A mistake: what it adds is made on the CPU."""

    def __init__(self):
        self.total = torch.zeros(IMAGES, *SHAPE, dtype=torch.float64)

    def add_(self, seen):
        seen = self.beside(seen)
        self.total += seen.x_0 + torch.ones(IMAGES, *SHAPE, dtype=torch.float64)


def observed(device="cpu", seed=0):
    x_0, noise = normal(seed, IMAGES, *SHAPE), normal(seed + 1, DRAWS, IMAGES, *SHAPE)
    group, labels = torch.arange(IMAGES) % GROUPS, torch.arange(IMAGES) % 3
    seen = Observation(
        0, group, x_0, noise, 0.9 * noise + x_0, 0.2, 0.9, 0.8, 0.6, conditions=labels
    )
    return seen.to(device)


def tensors(sums):
    for value in vars(sums).values():
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, OnOneDevice) or hasattr(value, "total"):
            yield from tensors(value)


@pytest.mark.parametrize("name", MAKERS)
def test_sums_are_kept_where_the_observations_are(name):
    sums = MAKERS[name]()
    for _ in range(2):
        sums.add_(observed("meta"))
    assert {t.device.type for t in tensors(sums)} == {"meta"}


def test_an_addend_on_another_device_would_be_seen():
    with pytest.raises(RuntimeError, match="device"):
        Forgetful().add_(observed("meta"))


class Elsewhere(Observation):
    """On the CPU, and says that it is on another device."""

    @property
    def device(self):
        return torch.device("meta")


class Large(OnOneDevice):
    """Has no room but on the CPU."""

    def __init__(self):
        self.total = torch.zeros(3, dtype=torch.float64)

    def to_(self, device):
        if torch.device(device).type != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().to_(device)


def test_without_room_the_observation_comes_to_the_sums():
    seen = observed()
    away = Elsewhere(**{f.name: getattr(seen, f.name) for f in fields(seen)})
    sums = Large()
    assert torch.equal(sums.beside(away).x_0, seen.x_0)
    assert sums.total.device.type == "cpu"
