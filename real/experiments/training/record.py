"""What a trained class-conditional network leaves behind: losses, samples, files, model card."""

import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, DDPMPipeline
from matplotlib.axes import Axes
from torch import Tensor

from real.experiments.training.examples import Examples
from real.experiments.training.loop import Trainer
from real.experiments.training.recorded import RECORDED, save_recorded
from real.reports.image_grid import image_grid
from real.reports.page import render, save_figure
from theory.support.output import replacing_folder, write_json
from theory.support.plot_style import BLUE, ORANGE

MEASURED = 2000
BATCH = 250
SAMPLES_PER_CLASS = 10
SOLVER_STEPS = 50


@torch.no_grad()
def held_out_loss(trainer: Trainer, examples: Examples) -> float:
    """Mean squared error per pixel of the predicted noise, over times spread evenly.

    The first 2,000 examples are measured, with one time and one draw of noise each.
    """
    network, scheduler = trainer.network, trainer.scheduler
    generator = torch.Generator().manual_seed(trainer.recipe.seed)
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
def sample_classes(trainer: Trainer, shape: tuple[int, ...], classes: int) -> Tensor:
    """DDIM samples (classes * 10, c, h, w) in [-1, 1], class after class, without guidance."""
    network = trainer.network
    labels = torch.arange(classes).repeat_interleave(SAMPLES_PER_CLASS)
    generator = torch.Generator().manual_seed(trainer.recipe.seed)
    x_t = torch.randn(len(labels), *shape, generator=generator).to(network.device)
    solver = DDIMScheduler.from_config(trainer.scheduler.config)
    solver.set_timesteps(SOLVER_STEPS)
    for t in solver.timesteps:
        y = network(x_t, t, class_labels=labels.to(network.device)).sample
        x_t = solver.step(y, t, x_t, eta=0.0).prev_sample
    return x_t.clamp(-1, 1).cpu()


def training_record(trainer: Trainer) -> dict[str, Any]:
    """What every record says: the recipe, what it took, on what machine, the training curve."""
    return {
        "recipe": asdict(trainer.recipe),
        "weights": sum(p.numel() for p in trainer.network.parameters()),
        "seconds": round(trainer.progress.seconds, 1),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "loss_per_pixel": trainer.progress.curve,
        **({} if trainer.recorder is None else {"recorded": RECORDED}),
    }


def save_trained(
    out: Path,
    trainer: Trainer,
    examples: Examples,
    samples: Tensor,
    record: dict[str, Any],
    **about: str,
) -> None:
    """Write a diffusers folder in half precision with model card, record, curve and samples.

    Args:
        out: the folder; its files appear all or not at all.
        trainer: its network, finished.
        examples: what it was trained on.
        samples: images (n, c, h, w) in [-1, 1].
        record: how it was trained.
        about: ``title`` and ``source`` of the training images, in words.
    """
    with replacing_folder(out) as folder:
        DDPMPipeline(trainer.network.half(), trainer.scheduler).save_pretrained(folder)
        index = folder / "model_index.json"
        write_json(index, {**json.loads(index.read_text()), "null_class": record["null_class"]})
        write_json(folder / "training.json", record)
        save_figure(
            lambda figure: draw_curve(figure.subplots(), record),
            (4.5, 3.0),
            folder / "training.png",
        )
        save_recorded(folder, trainer, examples)
        image_grid(samples).save(folder / "samples.png")
        card = render("model_card_classes.md.j2", **about, **record)
        (folder / "README.md").write_text(card)


def draw_curve(ax: Axes, record: dict[str, Any]) -> None:
    """Training loss against steps, and the loss on kept images at the end."""
    steps, losses = zip(*record["loss_per_pixel"], strict=True)
    kept = record["kept_images_loss_per_pixel"]["labels"]
    ax.semilogy(steps, losses, color=BLUE, lw=1, label="training images, weights on their way")
    ax.plot(steps[-1], kept, "o", ms=4, color=ORANGE, label="kept images, averaged weights")
    ax.set(xlabel="steps", ylabel="loss per pixel", title="Training")
    ax.legend()
