"""The training loop: one step, many steps, and going on after an interruption, bit by bit."""

import time
from dataclasses import dataclass, field, replace
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
from real.families.diffusers.process import process_of_scheduler
from theory.estimators.recorded_shift import ShiftRecorder

POINTS = 50
SAVE_SECONDS = 120.0
TIMED = 50
"""Steps from whose speed the length of a run is set, after as many that warm up."""


@dataclass
class Progress:
    """How far a run is: steps taken, mean losses so far, losses since the last, seconds spent.

    The latest losses stay on the device, as reading one waits for it.
    """

    step: int = 0
    curve: list[tuple[int, float]] = field(default_factory=list)
    recent: list[Tensor] = field(default_factory=list)
    seconds: float = 0.0


class Trainer:
    """A network in training, with everything that the rest of the run depends on.

    Its schedule is DDPM's: 1,000 steps, betas that rise in a line from 1e-4 to 0.02.

    Args:
        network: untrained.
        recipe: how it is trained.
        device: where everything is drawn and computed.
        compile: whether the network's steps are compiled (``torch.compile``).
        recorded: whether the mean of its errors is recorded (``theory.estimators.recorded_shift``).
    """

    def __init__(
        self,
        network: UNet2DModel,
        recipe: TrainingRecipe,
        device: torch.device,
        compile: bool = False,
        recorded: bool = False,
    ) -> None:
        on_gpu = device.type == "cuda"
        self.network = network.to(device).train()
        if on_gpu:
            self.network.to(memory_format=torch.channels_last)
        self.predict = torch.compile(self.network) if compile else self.network
        self.scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear")
        self.recipe, self.device = recipe, device
        self.generator = torch.Generator(device).manual_seed(recipe.seed)
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay,
            fused=on_gpu,
        )  # fmt: skip
        self.average = EMAModel(network.parameters(), decay=recipe.ema_decay, foreach=on_gpu)
        self.progress = Progress()
        schedule = process_of_scheduler(self.scheduler).schedule
        self.log_snr = schedule.log_snr(torch.arange(len(self.scheduler))).to(device)
        self.recorder = _recorder(network, self.log_snr) if recorded else None

    def step(self, examples: Examples) -> Tensor:
        """Take one optimizer step on examples on the device; returns the loss per pixel before it."""
        t, errors = self._errors(examples)
        loss = errors.square().mean()
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(self.progress.step)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        self.average.step(self.network.parameters())
        if self.recorder is not None:
            kept = self.average.cur_decay_value
            self.recorder.observe(self.log_snr[t], errors.detach(), kept)
        self.progress.step += 1
        return loss.detach()

    def _errors(self, examples: Examples) -> tuple[Tensor, Tensor]:
        """Times (b,), drawn with images and noise, and predictions less the noise, (b, c, h, w)."""
        recipe, generator, device = self.recipe, self.generator, self.device
        n = recipe.batch_size
        chosen = torch.randint(len(examples), (n,), generator=generator, device=device)
        x_0 = examples.images[chosen]
        t = torch.randint(len(self.scheduler), (n,), generator=generator, device=device)
        e = torch.randn(x_0.shape, generator=generator, device=device)
        labels = None
        if examples.labels is not None and examples.null_label is not None:
            dropped = torch.rand(n, generator=generator, device=device) < recipe.drop_label
            labels = examples.labels[chosen].masked_fill(dropped, examples.null_label)
        if recipe.flip:
            mirrored = torch.rand(n, 1, 1, 1, generator=generator, device=device) < 0.5
            x_0 = torch.where(mirrored, x_0.flip(-1), x_0)
        half = recipe.precision == "bfloat16"
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            y = self.predict(self.scheduler.add_noise(x_0, e, t), t, class_labels=labels).sample
        return t, y.float() - e

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
            "progress": {**vars(self.progress), "recent": [x.item() for x in self.progress.recent]},
            **({} if self.recorder is None else {"recorded": self.recorder.state()}),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what ``state`` returned."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        self.average.to(self.device)
        self.generator.set_state(state["generator"])
        if self.recorder is not None:
            self.recorder.restore(state["recorded"])
        self.progress = Progress(**state["progress"])
        self.progress.recent = [torch.tensor(x) for x in self.progress.recent]


def _recorder(network: UNet2DModel, log_snr: Tensor) -> ShiftRecorder:
    config = network.config
    shape = (config.in_channels, config.sample_size, config.sample_size)
    low, high = log_snr.min().item(), log_snr.max().item()
    return ShiftRecorder(low, high, shape, device=log_snr.device)


def run_training(
    trainer: Trainer,
    examples: Examples,
    state: Path,
    identity: dict[str, Any],
    *,
    quiet: bool = False,
    seconds: float | None = None,
    save_seconds: float = SAVE_SECONDS,
) -> None:
    """Train to the last step of the recipe.

    Args:
        trainer: the network, untrained or on its way.
        examples: what it learns from.
        state: file that the run is saved in on its way, and goes on from if it is there.
        identity: plain data that an interrupted run and its continuation share.
        quiet: no progress bar.
        seconds: how long to train; sets the steps of the recipe from the speed of the first few.
        save_seconds: how often the state is saved.

    Raises:
        InputError: the file is of another run, or cannot be read.
    """
    if state.exists():
        trainer.restore(read_state(state, identity))
    examples = examples.to(trainer.device)
    if seconds is not None:
        trainer.recipe = replace(trainer.recipe, steps=_steps_within(seconds, trainer, examples))
    progress, steps = trainer.progress, trainer.recipe.steps
    every = max(1, steps // POINTS)
    begun = time.perf_counter() - progress.seconds
    saved = time.perf_counter()
    bar = tqdm(range(progress.step, steps), desc="train", disable=quiet or None, mininterval=1)
    for _ in bar:
        progress.recent.append(trainer.step(examples))
        progress.seconds = time.perf_counter() - begun
        if progress.step % every == 0:
            mean = torch.stack(progress.recent).mean().item()
            progress.curve.append((progress.step, round(mean, 5)))
            progress.recent.clear()
            bar.set_postfix(loss=f"{mean:.4f}")
        if time.perf_counter() - saved > save_seconds:
            write_state(state, identity, trainer.state())
            saved = time.perf_counter()


def _steps_within(seconds: float, trainer: Trainer, examples: Examples) -> int:
    """How many steps there is time for in all; takes the first of them.

    The learning rate of a step does not depend on their number until it falls, so these count.
    """
    begun = time.perf_counter()
    for timed in (False, True):
        start = time.perf_counter()
        for _ in range(TIMED):
            loss = trainer.step(examples)
            trainer.progress.recent.append(loss)
        loss.item()  # waits for the device
        if timed:
            of_one = (time.perf_counter() - start) / TIMED
    spent = trainer.progress.seconds + time.perf_counter() - begun
    trainer.progress.seconds = spent
    return trainer.progress.step + max(2 * TIMED, int((seconds - spent) / of_one))
