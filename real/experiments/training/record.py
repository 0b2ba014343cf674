"""What a trained class-conditional network leaves behind: losses, samples, files, model card."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from torch import Tensor

from real.experiments.training.examples import Examples
from real.experiments.training.figures import save_curve
from real.reports.templates import render
from real.reports.validation_plots import grid
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
    """DDIM samples (classes * 10, c, h, w) in [-1, 1], class after class, without guidance."""
    labels = torch.arange(classes).repeat_interleave(SAMPLES_PER_CLASS)
    generator = torch.Generator().manual_seed(seed)
    x_t = torch.randn(len(labels), *shape, generator=generator).to(network.device)
    solver = DDIMScheduler.from_config(scheduler.config)
    solver.set_timesteps(SOLVER_STEPS)
    for t in solver.timesteps:
        y = network(x_t, t, class_labels=labels.to(network.device)).sample
        x_t = solver.step(y, t, x_t, eta=0.0).prev_sample
    return x_t.clamp(-1, 1).cpu()


def save_trained(
    out: Path,
    network: UNet2DModel,
    scheduler: DDPMScheduler,
    record: dict[str, Any],
    samples: Tensor,
    title: str,
    source: str,
) -> None:
    """Write a diffusers folder in half precision with card, record, curve and samples."""
    with replacing_folder(out) as folder:
        DDPMPipeline(network.half(), scheduler).save_pretrained(folder)
        index = folder / "model_index.json"
        write_json(index, {**json.loads(index.read_text()), "null_class": record["null_class"]})
        write_json(folder / "training.json", record)
        save_curve(folder / "training.png", record)
        grid(samples).save(folder / "samples.png")
        card = render("model_card_classes.md.j2", title=title, source=source, **record)
        (folder / "README.md").write_text(card)
