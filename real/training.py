"""Train the network that the repository ships, from a seed, on the CPU."""

import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel
from torch import Tensor
from tqdm import tqdm

from real.images import DIGITS_SPLIT, DIGITS_SPLIT_SEED, digits
from real.templates import render
from theory.program import replacing_folder, write_json


@dataclass(frozen=True)
class Recipe:
    """How the digits network is trained: noise prediction, mean squared error, EMA of the weights."""

    seed: int = 0
    steps: int = 5000
    batch_size: int = 64
    learning_rate: float = 2e-3
    warm_up_steps: int = 200
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    ema_decay: float = 0.999


def digits_network(seed: int) -> UNet2DModel:
    """An untrained UNet2DModel for (1, 8, 8) images with weights drawn from the seed."""
    with torch.random.fork_rng(devices=[]):  # torch draws initial weights from its global generator
        torch.default_generator.manual_seed(seed)
        return UNet2DModel(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=(32, 64),
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            norm_num_groups=8,
            attention_head_dim=8,
        )


def train_digits(out: Path, recipe: Recipe, quiet: bool = False) -> dict[str, Any]:
    """Train on the training part of the digits and save a diffusers folder with a model card.

    Returns:
        The training record, also saved as ``training.json``.
    """
    images = digits("training")
    scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear")
    network = digits_network(recipe.seed)
    start = time.perf_counter()
    curve = _fit(network, scheduler, images, recipe, quiet)
    record = {
        "recipe": asdict(recipe),
        "split_seed": DIGITS_SPLIT_SEED,
        "split": {role: part.stop - part.start for role, part in DIGITS_SPLIT.items()},
        "weights": sum(p.numel() for p in network.parameters()),
        "seconds": round(time.perf_counter() - start, 1),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "loss_per_pixel": curve,
    }
    with replacing_folder(out) as folder:
        DDPMPipeline(network, scheduler).save_pretrained(folder)
        write_json(folder / "training.json", record)
        (folder / "README.md").write_text(render("model_card.md.j2", **record))
    return record


def _fit(
    network: UNet2DModel, scheduler: DDPMScheduler, images: Tensor, recipe: Recipe, quiet: bool
) -> list[tuple[int, float]]:
    generator = torch.Generator().manual_seed(recipe.seed)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1, (step + 1) / recipe.warm_up_steps) * (1 - step / recipe.steps),
    )
    average = EMAModel(network.parameters(), decay=recipe.ema_decay)
    curve, recent = [], 0.0
    every = max(1, recipe.steps // 50)
    network.train()
    for step in tqdm(range(1, recipe.steps + 1), desc="train", disable=quiet):
        x_0 = images[torch.randint(len(images), (recipe.batch_size,), generator=generator)]
        t = torch.randint(len(scheduler), (recipe.batch_size,), generator=generator)
        e = torch.randn(x_0.shape, generator=generator)
        loss = (network(scheduler.add_noise(x_0, e, t), t).sample - e).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
        optimizer.step()
        rate.step()
        average.step(network.parameters())
        recent += loss.item() / every
        if step % every == 0:
            curve.append((step, round(recent, 5)))
            recent = 0.0
    average.copy_to(network.parameters())
    network.eval()
    return curve
