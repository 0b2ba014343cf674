"""Data sets that torchvision knows by name. Torchvision is needed only here.

Networks are trained and calibrated on the set's training part; the test part is held out.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from real.images.base import ImageSource, Role, whole_labels
from real.images.pixels import fitted, require_channels, stacked
from theory.support.errors import InputError

SETS: dict[str, tuple[str, Callable[[bool], dict[str, Any]]]] = {
    "mnist": ("MNIST", lambda train: {"train": train}),
    "fashion-mnist": ("FashionMNIST", lambda train: {"train": train}),
    "cifar10": ("CIFAR10", lambda train: {"train": train}),
    "celeba": ("CelebA", lambda train: {"split": "train" if train else "test"}),
}
"""Its class in torchvision, and how that class is told which part is wanted."""


def torchvision_source(
    name: str, role: Role, shape: tuple[int, ...], root: Path, download: bool
) -> ImageSource:
    """Open one of ``SETS``, with its classes as labels where it has classes.

    Args:
        name: of the set.
        role: ``held-out`` opens the test part, another role the training part.
        shape: (c, h, w) of the images that the network takes.
        root: the folder that it lies in.
        download: fetch it where it is not there.

    Raises:
        InputError: torchvision is not installed, or the set is not there and may not be fetched.
    """
    require_channels(shape)
    try:
        from torchvision import datasets
    except ImportError as error:
        raise InputError(
            f"data: {name} needs torchvision, which is not installed (pip install torchvision)"
        ) from error
    kind, part = SETS[name]
    try:
        images = getattr(datasets, kind)(root, download=download, **part(role != "held-out"))
    except (RuntimeError, OSError) as error:
        advice = "cannot be fetched" if download else "is not there; --download fetches it"
        raise InputError(f"data: {name} {advice} ({root})") from error
    targets = getattr(images, "targets", None)
    labels = None if targets is None else whole_labels(torch.as_tensor(targets), len(images), name)
    return ImageSource(
        name, len(images), lambda chosen: stacked(fitted(images[i][0], shape) for i in chosen),
        labels=labels,
    )  # fmt: skip
