"""Loading diffusers pipelines: what is read, and what is refused."""

import json
import math
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import DDPMPipeline, UNet2DModel
from safetensors.torch import save_file

from real.checkpoints import load
from real.families.diffusers.weights import (
    FACTOR,
    SLACK,
    TABLE,
    Weights,
    require_as_many,
    require_plausible,
    weights_of,
)
from tests.real.conftest import save_pipeline
from tests.refusals import refusal
from theory.diffusion.targets import DATA, NOISE, VELOCITY
from theory.support.errors import InputError


def test_prediction_is_the_networks_own(pipeline):
    checkpoint = load(pipeline)
    network = UNet2DModel.from_pretrained(pipeline, subfolder="unet")
    x_t = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([3, 700])
    with torch.no_grad():
        assert torch.equal(checkpoint.predict(x_t, t), network(x_t, t).sample)
    assert checkpoint.shape == (3, 16, 16)


def test_prediction_keeps_the_callers_dtype(digits_checkpoint):
    x_t = torch.zeros(2, 1, 8, 8, dtype=torch.float64)
    assert digits_checkpoint.predict(x_t, torch.tensor([1, 2])).dtype == torch.float64


def test_prediction_type_becomes_target(tmp_path):
    for kind, target in (("epsilon", NOISE), ("sample", DATA), ("v_prediction", VELOCITY)):
        assert load(save_pipeline(tmp_path / kind, prediction_type=kind)).target == target, kind


def test_schedule_is_the_schedulers(tmp_path):
    for beta_schedule in ("linear", "scaled_linear", "squaredcos_cap_v2"):
        folder = tmp_path / beta_schedule
        save_pipeline(folder, beta_schedule=beta_schedule, num_train_timesteps=50)
        scheduler = DDPMPipeline.from_pretrained(folder).scheduler
        expected = scheduler.alphas_cumprod.double().sqrt()
        alpha = load(folder).schedule.alpha(torch.arange(50))
        assert torch.allclose(alpha, expected, rtol=1e-12), beta_schedule


def test_folders_without_parts_and_bin_weights_load(tmp_path):
    save_pipeline(tmp_path / "parts", safe=False)
    flat = tmp_path / "flat"
    shutil.copytree(tmp_path / "parts" / "unet", flat)
    shutil.copy(tmp_path / "parts" / "scheduler" / "scheduler_config.json", flat)
    assert not list(flat.glob("*.safetensors"))
    assert load(flat).fingerprint == load(tmp_path / "parts").fingerprint


def test_settings_of_other_code_that_are_null_ask_for_none(tmp_path, pipeline):
    copy = tmp_path / "copy"
    shutil.copytree(pipeline, copy)
    config = copy / "unet" / "config.json"
    told = json.loads(config.read_text())
    config.write_text(json.dumps({**told, "quantization_config": None, "auto_map": None}))
    assert load(copy).fingerprint == load(pipeline).fingerprint
    config.write_text(json.dumps({**told, "auto_map": {}}))
    with refusal("expected a plain network in .*, it has auto_map"):
        load(copy)


def test_fingerprint_knows_the_weights(tmp_path, pipeline):
    copy = tmp_path / "copy"
    shutil.copytree(pipeline, copy)
    assert load(copy).fingerprint == load(pipeline).fingerprint
    network = UNet2DModel.from_pretrained(copy, subfolder="unet")
    with torch.no_grad():
        network.conv_out.bias[0] += 1e-6
    network.save_pretrained(copy / "unet")
    assert load(copy).fingerprint != load(pipeline).fingerprint


class Malice:
    """Would write a file if it were ever unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return Path.write_text, (self.witness, "ran")


def test_a_checkpoint_never_runs_code(tmp_path):
    folder, witness = tmp_path / "evil", tmp_path / "witness"
    save_pipeline(folder, safe=False)
    weights = folder / "unet" / "diffusion_pytorch_model.bin"
    with weights.open("wb") as file:
        pickle.dump({"conv_in.weight": Malice(witness)}, file)
    with refusal("holds more than weights"):
        load(folder)
    assert not witness.exists()
    with weights.open("rb") as file:
        pickle.load(file)
    assert witness.exists()


def _edit(path: Path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _break(folder: Path, how: str) -> None:
    unet, scheduler = folder / "unet", folder / "scheduler" / "scheduler_config.json"
    weights = unet / "diffusion_pytorch_model.safetensors"
    match how:
        case "no config":
            (unet / "config.json").unlink()
        case "no scheduler":
            scheduler.unlink()
        case "broken json":
            (unet / "config.json").write_text("{")
        case "truncated":
            weights.write_bytes(weights.read_bytes()[:1000])
        case "no weights":
            weights.unlink()
        case "other shapes":
            _edit(unet / "config.json", block_out_channels=[8, 32])
        case "other class":
            _edit(unet / "config.json", _class_name="VQModel")
        case "classes":
            _edit(unet / "config.json", num_class_embeds=10)
        case "other prediction":
            _edit(scheduler, prediction_type="flow")
        case "no betas":
            scheduler.write_text(json.dumps({"_class_name": "EDMEulerScheduler"}))
        case "other betas":
            _edit(scheduler, beta_schedule="magic")


def test_broken_folders_are_refused_in_one_line(tmp_path, pipeline):
    for how, message in (
        ("no config", "found neither"),
        ("no scheduler", "found neither"),
        ("broken json", "cannot be read as JSON"),
        ("truncated", "cannot load the network"),
        ("no weights", "cannot load the network"),
        ("other shapes", "cannot load the network"),
        ("other class", "expected a UNet2DModel, UNet2DConditionModel.*got VQModel"),
        ("classes", "no weights for class_embedding"),
        ("other prediction", "expected prediction_type"),
        ("no betas", "expected a scheduler with betas"),
        ("other betas", "cannot read the schedule"),
    ):
        folder = tmp_path / how
        shutil.copytree(pipeline, folder)
        _break(folder, how)
        with refusal(message, how):
            load(folder)


FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler"}
WRONG_SETTINGS = [
    *(("unet/config.json", {"sample_size": size}, "a sample_size of one or two whole numbers")
      for size in ("x", [8, 8, 8], 8.5, 0, -8, True, [8], [8, "x"], {})),
    *(("scheduler/scheduler_config.json", wrong | more, "num_train_timesteps from 1 to")
      for wrong in ({"num_train_timesteps": v} for v in (-1, 0, "x", "1000", 1.5, math.nan, None, [9]))
      for more in ({}, FLOW)),
    *(("scheduler/scheduler_config.json", {"prediction_type": kind}, "expected prediction_type")
      for kind in (["epsilon"], None, 3, {}, "x\ny")),
    *(("scheduler/scheduler_config.json", {"trained_betas": betas}, "alphas|schedule")
      for betas in ([[0.1, 0.2]], [[0.1], [0.1, 0.2]], ["x"], [0.1, math.nan], "x", 3, [], {"a": 1})),
    *(("scheduler/scheduler_config.json", {name: value}, "alphas|schedule")
      for name in ("beta_start", "beta_end") for value in ("x", [1], math.nan, {}, -1.0, 1e300)),
    *(("scheduler/scheduler_config.json", {"beta_schedule": name}, "cannot read the schedule")
      for name in ("x", ["linear"], 3, "x\ny")),
]  # fmt: skip


def test_settings_that_make_no_sense_are_refused_in_one_line(tmp_path, pipeline):
    folder = tmp_path / "broken"
    shutil.copytree(pipeline, folder)
    for file, wrong, message in WRONG_SETTINGS:
        whole = (folder / file).read_text()
        _edit(folder / file, **wrong)
        with refusal(message, wrong):
            load(folder)
        (folder / file).write_text(whole)


def test_a_sample_size_is_one_number_or_two(tmp_path, pipeline):
    folder = tmp_path / "copy"
    shutil.copytree(pipeline, folder)
    for size in (16, [16, 16]):
        _edit(folder / "unet" / "config.json", sample_size=size)
        assert load(folder).shape == (3, 16, 16)


def test_condition_is_refused_by_an_unconditional_network(digits_checkpoint):
    with refusal("unconditional"):
        digits_checkpoint.predict(torch.zeros(2, 1, 8, 8), torch.tensor([1, 1]), torch.zeros(2))


def test_the_weights_of_a_folder_are_those_of_all_its_files(tmp_path):
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros(4)}, tmp_path / "model-1.safetensors")
    save_file({"c": torch.zeros(5, 1)}, tmp_path / "model-2.safetensors")
    torch.save({"d": torch.zeros(7)}, tmp_path / "model.bin")
    (tmp_path / "config.json").write_text("{}")
    assert weights_of(tmp_path) == Weights(tensors=4, numbers=6 + 4 + 5 + 7)


WEIGHTS = Weights(tensors=3, numbers=11)
PLAUSIBLE = {
    "expected width of at most 1,048,576 in FOLDER, got 1,048,577": ({"width": 2**20}, {"width": 2**20 + 1}),
    "expected num_layers of at most 3 in FOLDER, got 4": ({"num_layers": 3}, {"num_layers": [2, 4]}),
    "expected at most a layer for each of 3 tensors in FOLDER, its configuration has 4":
        ({"down_block_types": ["a", "b", "c"]}, {"down_block_types": ["a", "b"], "layers_per_block": 2}),
    "expected a smaller table of positions in FOLDER": (
        {"sample_size": 8192, "patch_size": 2, "attention_head_dim": 4},
        {"sample_size": 8192, "patch_size": 2, "attention_head_dim": 5},
    ),
}  # fmt: skip


@pytest.mark.parametrize("says", PLAUSIBLE)
def test_the_largest_configuration_of_some_weights_is_let_through_and_no_larger(says):
    assert TABLE == 4096**2 * 4
    fits, too_large = PLAUSIBLE[says]
    require_plausible(fits, WEIGHTS, Path("FOLDER"))
    with pytest.raises(InputError) as caught:
        require_plausible(too_large, WEIGHTS, Path("FOLDER"))
    assert str(caught.value) == f"checkpoint: {says}"


def test_a_network_has_at_most_some_times_the_numbers_of_its_files_and_a_few_more():
    most = FACTOR * WEIGHTS.numbers + SLACK
    fits, too_large = (torch.nn.Linear(n, 1, bias=False, device="meta") for n in (most, most + 1))
    require_as_many(fits, WEIGHTS, Path("FOLDER"))
    with pytest.raises(InputError) as caught:
        require_as_many(too_large, WEIGHTS, Path("FOLDER"))
    assert str(caught.value) == (
        f"checkpoint: FOLDER describes a network of {most + 1:,} numbers, its files hold 11"
    )
