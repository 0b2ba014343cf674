"""The training loop: one step, many steps, and going on after an interruption, bit by bit."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel
from torch import Tensor
from tqdm import tqdm

from real.experiments.training.examples import Examples
from real.experiments.training.recipe import TrainingRecipe
from real.experiments.training.states import read_state, write_state

POINTS = 50
SAVE_SECONDS = 120.0


@dataclass
class Progress:
    """How far a run is: steps taken, mean losses so far, losses since the last, seconds spent."""

    step: int = 0
    curve: list[tuple[int, float]] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)
    seconds: float = 0.0


class Trainer:
    """A network in training, with everything that the rest of the run depends on.

    Its schedule is DDPM's: 1,000 steps, betas that rise in a line from 1e-4 to 0.02.
    """

    def __init__(self, network: UNet2DModel, recipe: TrainingRecipe, device: torch.device) -> None:
        self.network = network.to(device).train()
        self.scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear")
        self.recipe, self.device = recipe, device
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.average = EMAModel(network.parameters(), decay=recipe.ema_decay)
        self.progress = Progress()

    def step(self, examples: Examples) -> float:
        """Take one optimizer step; returns the loss per pixel before it."""
        loss = self._loss(examples)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(self.progress.step)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        self.average.step(self.network.parameters())
        self.progress.step += 1
        return loss.item()

    def _loss(self, examples: Examples) -> Tensor:
        recipe, generator = self.recipe, self.generator
        n = recipe.batch_size
        chosen = torch.randint(len(examples.images), (n,), generator=generator)
        x_0 = examples.images[chosen]
        t = torch.randint(len(self.scheduler), (n,), generator=generator)
        e = torch.randn(x_0.shape, generator=generator)
        labels = None
        if examples.labels is not None and examples.null_label is not None:
            dropped = torch.rand(n, generator=generator) < recipe.drop_label
            labels = examples.labels[chosen].masked_fill(dropped, examples.null_label)
            labels = labels.to(self.device)
        if recipe.flip:
            mirrored = torch.rand(n, 1, 1, 1, generator=generator) < 0.5
            x_0 = torch.where(mirrored, x_0.flip(-1), x_0)
        x_t, t, e = (x.to(self.device) for x in (self.scheduler.add_noise(x_0, e, t), t, e))
        half = recipe.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            y = self.network(x_t, t, class_labels=labels).sample
        return (y.float() - e).square().mean()

    def finish(self) -> UNet2DModel:
        """The network with its averaged weights, for inference."""
        self.average.copy_to(self.network.parameters())
        return self.network.eval()

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, as tensors and plain data."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "generator": self.generator.get_state(),
            "progress": vars(self.progress),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what ``state`` returned."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        self.average.to(self.device)
        self.generator.set_state(state["generator"])
        self.progress = Progress(**state["progress"])


def run_training(
    trainer: Trainer,
    examples: Examples,
    state: Path,
    identity: dict[str, Any],
    *,
    quiet: bool = False,
    save_seconds: float = SAVE_SECONDS,
) -> None:
    """Train to the last step of the recipe.

    Args:
        trainer: the network, untrained or on its way.
        examples: what it learns from.
        state: file that the run is saved in on its way, and goes on from if it is there.
        identity: plain data that an interrupted run and its continuation share.
        quiet: no progress bar.
        save_seconds: how often the state is saved.

    Raises:
        InputError: the file is of another run, or cannot be read.
    """
    if state.exists():
        trainer.restore(read_state(state, identity))
    progress, steps = trainer.progress, trainer.recipe.steps
    every = max(1, steps // POINTS)
    begun = time.perf_counter() - progress.seconds
    saved = time.perf_counter()
    bar = tqdm(range(progress.step, steps), desc="train", disable=quiet, mininterval=1)
    for _ in bar:
        progress.recent.append(trainer.step(examples))
        progress.seconds = time.perf_counter() - begun
        if progress.step % every == 0:
            mean = sum(progress.recent) / len(progress.recent)
            progress.curve.append((progress.step, round(mean, 5)))
            progress.recent.clear()
            bar.set_postfix(loss=f"{mean:.4f}")
        if time.perf_counter() - saved > save_seconds:
            write_state(state, identity, trainer.state())
            saved = time.perf_counter()
