"""Train the digits network, from a seed."""

import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMPipeline, DDPMScheduler

from real.experiments.training.examples import Examples
from real.experiments.training.loop import Trainer, fit
from real.experiments.training.networks import digits_network
from real.experiments.training.recipe import Recipe
from real.images import DIGITS_SPLIT, DIGITS_SPLIT_SEED, digits
from real.reports.templates import render
from theory.support.output import replacing_folder, write_json


def train_digits(
    out: Path, recipe: Recipe, device: torch.device, quiet: bool = False
) -> dict[str, Any]:
    """Train on the training part of the digits and save a diffusers folder with a model card.

    Returns:
        The training record, also saved as ``training.json``.
    """
    scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear")
    trainer = Trainer(digits_network(recipe.seed), scheduler, recipe, device)
    fit(trainer, Examples(digits("training")), out / "state.pt", recipe.identity(), quiet=quiet)
    network = trainer.finish()
    record = {
        "recipe": asdict(recipe),
        "split_seed": DIGITS_SPLIT_SEED,
        "split": {role: part.stop - part.start for role, part in DIGITS_SPLIT.items()},
        "weights": sum(p.numel() for p in network.parameters()),
        "seconds": round(trainer.progress.seconds, 1),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "loss_per_pixel": trainer.progress.curve,
    }
    with replacing_folder(out) as folder:
        DDPMPipeline(network, scheduler).save_pretrained(folder)
        write_json(folder / "training.json", record)
        (folder / "README.md").write_text(render("model_card.md.j2", **record))
    (out / "state.pt").unlink(missing_ok=True)
    return record
