"""What a trained class-conditional network leaves behind: losses, samples, files, model card."""

import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from torch import Tensor

from real.experiments.training.examples import Examples
from real.experiments.training.figures import save_curve
from real.experiments.training.loop import Trainer
from real.reports.image_grid import image_grid
from real.reports.page import render
from theory.support.output import replacing_folder, write_json

MEASURED = 2000
BATCH = 250
SAMPLES_PER_CLASS = 10
SOLVER_STEPS = 50


@torch.no_grad()
def held_out_loss(
    network: UNet2DModel, scheduler: DDPMScheduler, examples: Examples, seed: int
) -> float:
    """Mean squared error per pixel of the predicted noise, over times spread evenly.

    Args:
        examples: the first 2,000 are measured, one time and one draw of noise each.
    """
    generator = torch.Generator().manual_seed(seed)
    count = min(len(examples), MEASURED)
    times = torch.arange(count) * len(scheduler) // count
    total = 0.0
    for first in range(0, count, BATCH):
        part = slice(first, min(first + BATCH, count))
        some, t = examples.part(part), times[part]
        e = torch.randn(some.images.shape, generator=generator)
        x_t = scheduler.add_noise(some.images, e, t).to(network.device)
        labels = None if some.labels is None else some.labels.to(network.device)
        y = network(x_t, t.to(network.device), class_labels=labels).sample
        total += (y.cpu() - e).square().mean().item() * len(some)
    return round(total / count, 5)


@torch.no_grad()
def sample_classes(
    network: UNet2DModel,
    scheduler: DDPMScheduler,
    shape: tuple[int, ...],
    classes: int,
    seed: int,
) -> Tensor:
    """DDIM samples (classes * 10, c, h, w) in [-1, 1], class after class, without guidance.

    Args:
        network: it takes labels 0 to ``classes - 1``.
        scheduler: that it was trained with.
        shape: (c, h, w).
        classes: how many.
        seed: of the starting noise.
    """
    labels = torch.arange(classes).repeat_interleave(SAMPLES_PER_CLASS)
    generator = torch.Generator().manual_seed(seed)
    x_t = torch.randn(len(labels), *shape, generator=generator).to(network.device)
    solver = DDIMScheduler.from_config(scheduler.config)
    solver.set_timesteps(SOLVER_STEPS)
    for t in solver.timesteps:
        y = network(x_t, t, class_labels=labels.to(network.device)).sample
        x_t = solver.step(y, t, x_t, eta=0.0).prev_sample
    return x_t.clamp(-1, 1).cpu()


def training_record(trainer: Trainer, network: UNet2DModel) -> dict[str, Any]:
    """What every record says: the recipe, what it took, on what machine, the training curve."""
    return {
        "recipe": asdict(trainer.recipe),
        "weights": sum(p.numel() for p in network.parameters()),
        "seconds": round(trainer.progress.seconds, 1),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "loss_per_pixel": trainer.progress.curve,
    }


def save_trained(
    out: Path,
    pipeline: DDPMPipeline,
    record: dict[str, Any],
    samples: Tensor,
    about: dict[str, str],
) -> None:
    """Write a diffusers folder with model card, record, training curve and samples.

    Args:
        out: the folder; its files appear all or not at all.
        pipeline: the network, in half precision, with its scheduler.
        record: how it was trained.
        samples: images (n, c, h, w) in [-1, 1].
        about: ``title`` and ``source`` of the training images, in words.
    """
    with replacing_folder(out) as folder:
        pipeline.save_pretrained(folder)
        index = folder / "model_index.json"
        write_json(index, {**json.loads(index.read_text()), "null_class": record["null_class"]})
        write_json(folder / "training.json", record)
        save_curve(folder / "training.png", record)
        image_grid(samples).save(folder / "samples.png")
        card = render("model_card_classes.md.j2", **about, **record)
        (folder / "README.md").write_text(card)
