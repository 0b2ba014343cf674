"""Train the digits network, from a seed."""

from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMPipeline

from real.experiments.training.examples import Examples
from real.experiments.training.loop import Trainer, run_training
from real.experiments.training.networks import digits_network
from real.experiments.training.recipe import TrainingRecipe
from real.experiments.training.record import training_record
from real.experiments.training.recorded import save_recorded
from real.images.digits import DIGITS_SPLIT, DIGITS_SPLIT_SEED, digits
from real.reports.page import render
from theory.support.output import replacing_folder, write_json


def train_digits(
    out: Path,
    recipe: TrainingRecipe,
    device: torch.device,
    quiet: bool = False,
    recorded: bool = False,
) -> dict[str, Any]:
    """Train on the training part of the digits and save a diffusers folder with a model card.

    Args:
        out: folder to write; an interrupted run goes on from what it finds there.
        recipe: how it is trained.
        device: where it is trained.
        quiet: no progress bar.
        recorded: whether the mean of its errors is recorded on the way, for ``recorded.safetensors``.

    Returns:
        The training record, also saved as ``training.json``.
    """
    trainer = Trainer(digits_network(recipe.seed), recipe, device, recorded=recorded)
    examples, state = Examples(digits("training")), out / "state.pt"
    run_training(trainer, examples, state, {**recipe.identity(), "recorded": recorded}, quiet=quiet)
    network = trainer.finish()
    record = {
        **training_record(trainer),
        "split_seed": DIGITS_SPLIT_SEED,
        "split": {role: part.stop - part.start for role, part in DIGITS_SPLIT.items()},
    }
    with replacing_folder(out) as folder:
        DDPMPipeline(network, trainer.scheduler).save_pretrained(folder)
        write_json(folder / "training.json", record)
        save_recorded(folder, trainer, examples)
        (folder / "README.md").write_text(render("model_card.md.j2", **record))
    state.unlink(missing_ok=True)
    return record
