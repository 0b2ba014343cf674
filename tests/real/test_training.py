"""Training the shipped network: the same seed gives the same weights, and the folder loads."""

import pytest
import torch
from diffusers import DDPMPipeline

from real.checkpoints import load
from real.training import Recipe, train_digits


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folders = [tmp_path_factory.mktemp(f"run{i}") for i in range(3)]
    recipes = [Recipe(steps=4), Recipe(steps=4), Recipe(steps=4, seed=1)]
    for folder, recipe in zip(folders, recipes, strict=True):
        train_digits(folder, recipe, quiet=True)
    return folders


def test_a_seed_decides_the_weights(trained):
    first, again, other = (load(folder).fingerprint for folder in trained)
    assert first == again
    assert first != other


def test_diffusers_reads_the_folder(trained):
    pipeline = DDPMPipeline.from_pretrained(trained[0])
    assert pipeline.unet.config.sample_size == 8
    assert len(pipeline.scheduler) == 1000


def test_training_leaves_the_global_generator_alone(tmp_path):
    before = torch.get_rng_state()
    train_digits(tmp_path / "run", Recipe(steps=1), quiet=True)
    assert torch.equal(before, torch.get_rng_state())
