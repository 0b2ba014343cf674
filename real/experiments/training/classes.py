"""Train class-conditional networks on labelled images: what is to be trained, and the run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel

from real.experiments.training.examples import Examples
from real.experiments.training.loop import Trainer, run_training
from real.experiments.training.networks import cifar10_network, fashion_network
from real.experiments.training.recipe import TrainingRecipe
from real.experiments.training.record import (
    held_out_loss,
    sample_classes,
    save_trained,
    training_record,
)
from theory.support.errors import InputError


@dataclass(frozen=True)
class Assignment:
    """A class-conditional network to be trained.

    Attributes:
        name: as the command takes it.
        title: of its images, in words.
        source: of its images and their licence, in words.
        data: name of the image set that is used unless others are given.
        shape: (c, h, w).
        classes: what the labels 0, 1, ... mean; the null label is their number.
        kept: images of the training file that are kept for calibration.
        network: untrained, from a seed.
        recipe: how it is trained, unless the command says otherwise.
    """

    name: str
    title: str
    source: str
    data: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    kept: int
    network: Callable[[int], UNet2DModel]
    recipe: TrainingRecipe


FASHION = Assignment(
    name="fashion",
    title="Fashion-MNIST",
    source="Fashion-MNIST (Zalando Research, MIT licence)",
    data="fashion-mnist",
    shape=(1, 28, 28),
    classes=(
        "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
        "ankle boot",
    ),
    kept=10_000,
    network=fashion_network,
    recipe=TrainingRecipe(steps=3600, learning_rate=1e-3, cool_down=0.3, drop_label=0.1),
)  # fmt: skip
CIFAR10 = Assignment(
    name="cifar10",
    title="CIFAR-10",
    source="CIFAR-10 (Krizhevsky 2009)",
    data="cifar10",
    shape=(3, 32, 32),
    classes=tuple(["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]),
    kept=3_000,
    network=cifar10_network,
    recipe=TrainingRecipe(
        steps=20_000, batch_size=256, learning_rate=6e-4, warm_up_steps=1000, cool_down=0.4,
        ema_decay=0.999, drop_label=0.1, flip=True, precision="bfloat16",
    ),
)  # fmt: skip
ASSIGNMENTS = {assignment.name: assignment for assignment in (FASHION, CIFAR10)}


def train_classes(
    assignment: Assignment,
    data: Examples,
    out: Path,
    recipe: TrainingRecipe,
    device: torch.device,
    quiet: bool = False,
    compile: bool = False,
    recorded: bool = False,
    seconds: float | None = None,
) -> dict[str, Any]:
    """Train on all but the kept images and save a diffusers folder with a model card.

    Args:
        assignment: what is trained.
        data: all images of the training file, with labels.
        out: folder to write; an interrupted run goes on from what it finds there.
        recipe: how it is trained.
        device: where it is trained.
        quiet: no progress bar.
        compile: whether the network's steps are compiled.
        recorded: whether the mean of its errors is recorded on the way, for ``recorded.safetensors``.
        seconds: how long to train, in place of the recipe's steps.

    Returns:
        The training record, also saved as ``training.json``.

    Raises:
        InputError: there are not more images than are kept, or the interrupted run in ``out`` is
            another one.
    """
    end = len(data) - assignment.kept
    if end < 1:
        raise InputError(
            f"data: expected more than the {assignment.kept} images kept for calibration, "
            f"got {len(data)}"
        )
    data = data.shuffled()
    training, kept = data.part(slice(0, end)), data.part(slice(end, None))
    digest = training.sha256()
    trainer = Trainer(assignment.network(recipe.seed), recipe, device, compile, recorded)
    identity = {"network": assignment.name, "images": digest, "recorded": recorded}
    identity |= recipe.identity()
    state = out / "state.pt"
    run_training(trainer, training, state, identity, quiet=quiet, seconds=seconds)
    trainer.finish()
    record = _record(assignment, trainer, training, kept, digest)
    samples = sample_classes(trainer, assignment.shape, record["null_class"])
    save_trained(
        out, trainer, training, samples, record, title=assignment.title, source=assignment.source
    )
    state.unlink(missing_ok=True)
    return record


def _record(
    assignment: Assignment, trainer: Trainer, training: Examples, kept: Examples, digest: str
) -> dict[str, Any]:
    """What the network learned, from what, and how well."""
    null = len(assignment.classes)
    images = f"{len(training)} images of the training file, in the order of their blake2b"
    return {
        "network": assignment.name,
        **training_record(trainer),
        "classes": list(assignment.classes),
        "null_class": null,
        "trained_on": f"the first {images}",
        "kept_for_calibration": f"the other {len(kept)} images of the training file",
        "training_images_of_each_class": training.counts(null),
        "training_images_sha256": digest,
        "device": _named(trainer.device),
        "kept_images_loss_per_pixel": {
            "labels": held_out_loss(trainer, kept),
            "null label": held_out_loss(trainer, kept.without_labels()),
        },
    }


def _named(device: torch.device) -> str:
    """The kind of a device, and its name where it has one."""
    if device.type != "cuda":
        return device.type
    return f"cuda ({torch.cuda.get_device_name(device)})"
