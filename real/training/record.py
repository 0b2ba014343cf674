"""What a trained class-conditional network leaves behind: losses, samples, files, model card."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from torch import Tensor

from real.plots import grid
from real.templates import render
from real.training.figures import save_curve
from theory.program import replacing_folder, write_json

MEASURED = 2000
BATCH = 250
SAMPLES_PER_CLASS = 10
SOLVER_STEPS = 50


@torch.no_grad()
def held_out_loss(
    network: UNet2DModel, scheduler: DDPMScheduler, images: Tensor, labels: Tensor, seed: int
) -> float:
    """Mean squared error per pixel of the predicted noise, over times spread evenly.

    Args:
        images: (n, c, h, w) in [-1, 1]; the first 2,000 are measured, one time and draw of noise
            each.
        labels: (n,), null labels among them.
    """
    generator = torch.Generator().manual_seed(seed)
    images, labels = images[:MEASURED], labels[:MEASURED]
    times = torch.arange(len(images)) * len(scheduler) // len(images)
    total = 0.0
    for part in torch.arange(len(images)).split(BATCH):
        x_0, t = images[part], times[part]
        e = torch.randn(x_0.shape, generator=generator)
        inputs = (scheduler.add_noise(x_0, e, t), t, labels[part])
        x_t, t, label = (x.to(network.device) for x in inputs)
        y = network(x_t, t, class_labels=label).sample
        total += (y.cpu() - e).square().mean().item() * len(x_0)
    return round(total / len(images), 5)


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
