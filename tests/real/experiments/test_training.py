"""Training: a seed decides the weights, an interruption changes nothing, the folder loads."""

import hashlib
import json
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline
from PIL import Image

from real.checkpoints import load
from real.cli import main
from real.experiments.training import ASSIGNMENTS, TrainingRecipe, loop, train_classes, train_digits
from real.experiments.training import record as recording
from real.experiments.training.examples import Examples, labelled
from real.experiments.training.loop import Trainer, run_training
from real.experiments.training.networks import unet
from real.experiments.training.record import SAMPLES_PER_CLASS, held_out_loss, sample_classes
from real.experiments.training.states import write_state
from real.images.base import ImageSource
from real.images.digits import digits
from theory.calibration.procedure import calibrate
from theory.calibration.result import Calibration
from theory.forward.fingerprints import image_ids
from theory.statistics.shrinkage import CERTIFIED
from theory.support.errors import InputError

CPU = torch.device("cpu")
SHORT = TrainingRecipe(
    steps=6, batch_size=4, warm_up_steps=2, cool_down=0.5, drop_label=0.5, flip=True
)


def tiny(seed: int):
    """A network of few weights for (1, 8, 8) images with labels 0 to 3."""
    return unet(
        seed, 1, 8,
        layers_per_block=1,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=8,
        num_class_embeds=4,
    )  # fmt: skip


def images_of(n: int, side: int, channels: int, classes: int):
    generator = np.random.default_rng(0)
    shape = (n, side, side, channels) if channels > 1 else (n, side, side)
    images = generator.integers(0, 256, shape, dtype=np.uint8)
    return images, (np.arange(n) % classes).astype(np.uint8)


def examples_from(images, labels, classes: int) -> Examples:
    pixels = torch.from_numpy(images.astype(np.float32) / 127.5 - 1)
    pixels = pixels[:, None] if images.ndim == 3 else pixels.permute(0, 3, 1, 2)
    return Examples(pixels, torch.from_numpy(labels.astype(np.int64)), classes)


def small(name: str = "small", **changes):
    """The fashion assignment at 8x8, with three classes and few images."""
    assignment = replace(
        ASSIGNMENTS["fashion"], shape=(1, 8, 8), classes=("a", "b", "c"), kept=5, network=tiny
    )
    return replace(assignment, name=name, **changes)


def train_small(out, recipe=SHORT, assignment=None):
    assignment = assignment or small()
    data = examples_from(*images_of(17, 8, 1, 3), 3)
    return train_classes(assignment, data, out, recipe, CPU, quiet=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folders = [tmp_path_factory.mktemp(f"run{i}") for i in range(3)]
    recipes = [TrainingRecipe(steps=4), TrainingRecipe(steps=4), TrainingRecipe(steps=4, seed=1)]
    for folder, recipe in zip(folders, recipes, strict=True):
        train_digits(folder, recipe, CPU, quiet=True)
    return folders


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    record = train_small(folder)
    return folder, record


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
    train_digits(tmp_path / "run", TrainingRecipe(steps=1), CPU, quiet=True)
    train_small(tmp_path / "classes", replace(SHORT, steps=1))
    assert torch.equal(before, torch.get_rng_state())


def test_the_rate_rises_stays_and_falls_to_nothing():
    recipe = TrainingRecipe(steps=100, learning_rate=0.5, warm_up_steps=10, cool_down=0.4)
    assert recipe.rate(0) == pytest.approx(0.05)
    assert recipe.rate(9) == recipe.rate(60) == 0.5
    assert recipe.rate(80) == pytest.approx(0.25)
    assert recipe.rate(99) == pytest.approx(0.0125)


def test_until_it_falls_the_rate_knows_no_end():
    short, long = (
        TrainingRecipe(steps=100, cool_down=0.3),
        TrainingRecipe(steps=1000, cool_down=0.3),
    )
    assert all(short.rate(step) == long.rate(step) for step in range(70))


def trainer_of(recipe: TrainingRecipe, **settings) -> Trainer:
    return Trainer(tiny(recipe.seed), recipe, CPU, **settings)


def examples_of(n: int = 12) -> Examples:
    return examples_from(*images_of(n, 8, 1, 3), 3)


def weights(trainer: Trainer) -> list[torch.Tensor]:
    return [p.detach().clone() for p in trainer.finish().parameters()]


class Interrupted(Exception):
    """Power is gone."""


def test_an_interrupted_run_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    """Also when it was first meant to take more steps."""
    state, identity = tmp_path / "state.pt", SHORT.identity()
    run = partial(run_training, examples=examples_of(), state=state, identity=identity, quiet=True)
    whole = trainer_of(SHORT)
    run(whole)
    first, steps = trainer_of(replace(SHORT, steps=60)), []
    take = first.step

    def until_the_third(examples):
        if len(steps) == 3:
            raise Interrupted
        steps.append(take(examples))
        return steps[-1]

    monkeypatch.setattr(first, "step", until_the_third)
    with pytest.raises(Interrupted):
        run(first, save_seconds=0.0)
    second = trainer_of(SHORT)
    run(second)
    assert second.progress.step == 6
    assert [round(loss.item(), 5) for loss in steps] == [
        loss for _, loss in whole.progress.curve[:3]
    ]
    assert all(map(torch.equal, weights(whole), weights(second)))


def test_recording_changes_no_weights_and_goes_on_too(tmp_path):
    state = tmp_path / "state.pt"
    run = partial(run_training, examples=examples_of(), state=state, identity={}, quiet=True)
    bare, whole = trainer_of(SHORT), trainer_of(SHORT, recorded=True)
    run(bare)
    run(whole)
    first, second = (trainer_of(replace(SHORT, steps=n), recorded=True) for n in (60, 6))
    for _ in range(3):
        first.step(examples_of())
    write_state(state, {}, first.state())
    run(second)
    assert all(map(torch.equal, weights(bare), weights(whole)))
    assert torch.equal(*(t.recorder.shift(t.log_snr) for t in (whole, second)))


def test_the_recorded_mean_is_a_calibration_of_the_network(tmp_path):
    """It lowers the loss as ``calibrate`` sees it on the same images, and its negative does not."""
    recipe = TrainingRecipe(steps=120, ema_decay=0.97, learning_rate=1e-3)
    record = train_digits(tmp_path, recipe, CPU, quiet=True, recorded=True)
    recorded = Calibration.load(tmp_path / record["recorded"])
    checkpoint = load(tmp_path)
    recorded.require(checkpoint.schedule, checkpoint.target, (1, 8, 8), checkpoint.fingerprint)
    assert recorded.summary()["certified"] == "no gain in all (95 %, asymptotic)"
    assert (recorded.certified_gain(recorded.times) <= 0).all()
    training = digits("training")
    assert torch.equal(recorded.image_ids, image_ids(training).sort().values)
    own = calibrate(
        checkpoint.predict, checkpoint.schedule, images=training[:400], times=recorded.times[5:-5:5],
        order=0, policy=replace(CERTIFIED, certified=False),
    )  # fmt: skip
    assert torch.equal(recorded.mean_image, training.double().mean(0))
    assert recorded.provenance["evaluations"] == 120 * 64
    assert {choice.draws for choice in recorded.choices} == {
        max(1, 120 * 64 // (len(training) * len(recorded.times)))
    }
    shrunk = recorded.weights > 0
    assert shrunk.any()
    energy = recorded.shift.flatten(1).square().sum(1) / recorded.weights**2
    share = (1 - recorded.error_energy / energy).clamp(min=0)
    torch.testing.assert_close(recorded.weights[shrunk], share[shrunk])
    excess = (energy - recorded.error_energy)[shrunk]
    torch.testing.assert_close(recorded.gains[shrunk], excess)
    assert [e.value for e, used in zip(recorded.eta_sq, shrunk, strict=True) if used] == (
        pytest.approx(excess.tolist())
    )
    difference = recorded.at(own.times) - own.shift
    assert difference.square().sum() < own.shift.square().sum()  # it lowers the loss
    assert (recorded.at(own.times) + own.shift).square().sum() > own.shift.square().sum()


def test_a_run_does_not_go_on_from_another(tmp_path):
    state = tmp_path / "state.pt"
    run_training(
        trainer_of(SHORT), examples_of(), state, SHORT.identity(), quiet=True, save_seconds=0.0
    )
    other = replace(SHORT, seed=1)
    with pytest.raises(InputError, match=r"expected a run with seed 1 in .*, got 0; remove it"):
        run_training(trainer_of(other), examples_of(), state, other.identity(), quiet=True)
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(InputError, match=r"state\.pt cannot be read; remove it"):
        run_training(trainer_of(SHORT), examples_of(), state, SHORT.identity(), quiet=True)


def test_a_run_of_so_many_seconds_is_the_run_of_the_steps_that_it_took(tmp_path):
    timed = trainer_of(replace(SHORT, steps=10**6, cool_down=0.4))
    state, identity = tmp_path / "state.pt", SHORT.identity()
    run_training(timed, examples_of(), state, identity, quiet=True, seconds=0.01)
    assert timed.progress.step == timed.recipe.steps == 200
    whole = trainer_of(timed.recipe)
    run_training(whole, examples_of(), state, identity, quiet=True)
    assert all(map(torch.equal, weights(whole), weights(timed)))


def seen_labels(recipe: TrainingRecipe) -> torch.Tensor:
    trainer, seen = trainer_of(recipe), []
    trainer.network.class_embedding.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0])
    )
    trainer.step(examples_of())
    return torch.cat(seen)


def test_labels_are_dropped_as_often_as_said():
    labels = seen_labels(replace(SHORT, batch_size=400, drop_label=0.1))
    assert 20 <= (labels == 3).sum() <= 60
    assert set(labels.tolist()) == {0, 1, 2, 3}
    assert not (seen_labels(replace(SHORT, batch_size=400, drop_label=0.0)) == 3).any()


def test_every_second_image_is_mirrored(monkeypatch):
    """With images dark on the left, and no noise."""
    image = torch.cat([-torch.ones(1, 1, 8, 4), torch.ones(1, 1, 8, 4)], dim=-1)
    seen = []
    for flip in (True, False):
        trainer = trainer_of(replace(SHORT, batch_size=200, flip=flip))
        monkeypatch.setattr(
            trainer.scheduler, "add_noise", lambda x_0, e, t: (seen.append(x_0), x_0)[1]
        )
        trainer.step(Examples(image, torch.zeros(1, dtype=torch.int64), 3))
    mirrored, straight = ((x[:, 0, 0, 0] > 0).sum().item() for x in seen)
    assert 70 <= mirrored <= 130
    assert straight == 0


def test_half_precision_trains_too():
    trainer = trainer_of(replace(SHORT, precision="bfloat16"))
    exact = trainer_of(SHORT)
    loss, expected = (each.step(examples_of()).item() for each in (trainer, exact))
    assert loss != expected
    assert loss == pytest.approx(expected, rel=0.05)


def test_a_class_conditional_network_loads_with_its_classes(classes):
    folder, _ = classes
    checkpoint = load(folder)
    assert (checkpoint.conditions, checkpoint.null_condition) == (3, 3)
    assert checkpoint.shape == (1, 8, 8)
    x_t = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    t = torch.full((3,), 500)
    by_label = [checkpoint.predict(x_t, t, torch.full((3,), label)) for label in range(4)]
    assert torch.equal(checkpoint.predict(x_t, t), by_label[3])
    assert not torch.equal(by_label[0], by_label[1])


def test_weights_are_stored_in_half_precision(classes):
    folder, record = classes
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    assert 2 * record["weights"] < file.stat().st_size < 2.5 * record["weights"] + 20_000
    assert load(folder).modules["unet"].dtype == torch.float32


def test_the_record_says_what_was_trained_on(classes):
    folder, record = classes
    assert json.loads((folder / "training.json").read_text())["recipe"]["drop_label"] == 0.5
    assert record["trained_on"].startswith("the first 12 images of the training file")
    assert record["kept_for_calibration"] == "the other 5 images of the training file"
    assert sum(record["training_images_of_each_class"]) == 12
    data = examples_from(*images_of(17, 8, 1, 3), 3)
    assert record["training_images_sha256"] == data.shuffled().part(slice(0, 12)).sha256()
    assert len(record["loss_per_pixel"]) == 6
    card = (folder / "README.md").read_text()
    assert "3 none" in card
    assert str(record["kept_images_loss_per_pixel"]["labels"]) in card


def test_the_state_of_a_finished_run_is_removed(tmp_path, monkeypatch):
    from real.experiments.training import classes as module

    monkeypatch.setattr(module, "run_training", partial(run_training, save_seconds=0.0))
    train_small(tmp_path)
    assert not (tmp_path / "state.pt").exists()


def test_figures_are_pictures(classes):
    folder, _ = classes
    for name in ("training.png", "samples.png"):
        with Image.open(folder / name) as picture:
            assert min(picture.size) > 100


def test_kept_images_are_not_trained_on(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "real.experiments.training.classes.run_training",
        lambda trainer, examples, *rest, **options: (
            seen.append(examples),
            trainer.progress.curve.append((1, 1.0)),
        ),
    )
    train_small(tmp_path)
    data = examples_from(*images_of(17, 8, 1, 3), 3)
    assert torch.equal(seen[0].images, data.shuffled().images[:12])
    with pytest.raises(InputError, match="expected more than the 17 images kept"):
        train_small(tmp_path, assignment=small(kept=17))


def test_the_order_of_the_images_does_not_matter():
    images, labels = images_of(300, 8, 1, 3)
    by_class, mixed = np.argsort(labels), np.random.default_rng(1).permutation(300)
    one, other = (examples_from(images[o], labels[o], 3).shuffled() for o in (by_class, mixed))
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.labels, other.labels)
    pairs = {image.tobytes(): int(label) for image, label in zip(images, labels, strict=True)}
    bytes_of = [((image + 1) * 127.5).round().byte().numpy().tobytes() for image in one.images]
    assert [pairs[b] for b in bytes_of] == one.labels.tolist()


def test_every_part_of_a_sorted_set_has_every_class():
    images, labels = images_of(600, 8, 1, 3)
    ordered = np.argsort(labels, kind="stable")
    data = examples_from(images[ordered], labels[ordered], 3).shuffled()
    for part in (slice(0, 500), slice(500, None)):
        share = data.part(part).labels.bincount(minlength=3) / len(data.part(part))
        assert (share > 0.2).all()


def test_the_digest_is_of_the_bytes():
    images, labels = images_of(12, 8, 3, 3)
    digest = hashlib.sha256(images.transpose(0, 3, 1, 2).tobytes())
    digest.update(labels.astype("<i8").tobytes())
    assert examples_from(images, labels, 3).sha256() == digest.hexdigest()
    assert examples_from(images, labels[::-1], 3).sha256() != digest.hexdigest()


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (None, "expected labels with the images of .*, got none"),
        (["a", "b", "a", "b"], "got texts"),
        (torch.tensor([0, 1, 2, 3]), "expected labels from 0 to 2 in .*, got 3"),
    ],
)
def test_images_without_such_labels_are_refused(labels, match):
    source = ImageSource("data", 4, lambda chosen: torch.zeros(len(chosen), 1, 8, 8), labels=labels)
    with pytest.raises(InputError, match=match):
        labelled(source, 3)


@pytest.mark.parametrize(("name", "side", "channels"), [("fashion", 28, 1), ("cifar10", 32, 3)])
def test_recipes_run(name, side, channels):
    """A few images through the whole network, for two steps."""
    assignment = ASSIGNMENTS[name]
    recipe = replace(assignment.recipe, steps=2, batch_size=2)
    data = examples_from(*images_of(4, side, channels, 10), 10)
    trainer = Trainer(assignment.network(0), recipe, CPU)
    before = [p.detach().clone() for p in trainer.network.parameters()]
    losses = [trainer.step(data) for _ in range(2)]
    assert all(0 < loss < 3 for loss in losses)
    changed = [
        not torch.equal(p, q) for p, q in zip(before, trainer.network.parameters(), strict=True)
    ]
    assert all(changed)
    assert 1e6 < sum(p.numel() for p in trainer.network.parameters()) < 1e7


def test_the_command_trains_from_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(ASSIGNMENTS, "fashion", small("fashion", recipe=SHORT))
    images, labels = images_of(17, 8, 1, 3)
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    data, out = str(tmp_path / "data.npz"), tmp_path / "out"
    arguments = ["train", "fashion", "--data", data, "--out", str(out), "--steps", "2", "--quiet"]
    assert main(arguments) == 0
    assert str(out) in capsys.readouterr().out
    assert load(out).conditions == 3
    with pytest.raises(InputError, match="digits come with the toolkit"):
        main(["train", "digits", "--data", data, "--out", str(out)])


def test_every_time_is_trained_at():
    """The first or last of 1,000 times is missed by 20,000 draws with probability 4e-9."""
    trainer = trainer_of(replace(SHORT, batch_size=20_000))
    trainer.predict = lambda x, t, class_labels: SimpleNamespace(sample=torch.zeros_like(x))
    t, _ = trainer._errors(examples_of())
    assert (t.min(), t.max()) == (0, 999)


def test_samples_of_a_class_stand_together():
    seen = []

    class Network(torch.nn.Module):
        device = CPU

        def forward(self, x, t, class_labels):
            seen.append(class_labels.tolist())
            return SimpleNamespace(sample=torch.zeros_like(x))

    trainer = trainer_of(SHORT)
    trainer.network = Network()
    sample_classes(trainer, (1, 1, 1), 3)
    assert seen[0] == [0] * SAMPLES_PER_CLASS + [1] * SAMPLES_PER_CLASS + [2] * SAMPLES_PER_CLASS


def test_the_loss_on_kept_images_is_a_mean_over_all_of_them_and_over_times_spread_evenly(
    monkeypatch,
):
    """In parts of 4, 4 and 2 images, of a network that says the time."""
    monkeypatch.setattr(recording, "BATCH", 4)
    seen = []

    class Network:
        device = CPU

        def __call__(self, x, t, class_labels):
            seen.append((x, class_labels))
            return SimpleNamespace(sample=t[:, None, None, None] / 1000 * torch.ones_like(x))

    trainer = trainer_of(replace(SHORT, seed=5))
    trainer.network = Network()
    examples = examples_from(*images_of(10, 8, 1, 3), 3)
    found = held_out_loss(trainer, examples)
    generator = torch.Generator().manual_seed(5)
    e = torch.cat([torch.randn(n, 1, 8, 8, generator=generator) for n in (4, 4, 2)])
    t = 100 * torch.arange(10)
    assert found == round((t[:, None, None, None] / 1000 - e).square().mean().item(), 5)
    x, labels = (torch.cat(parts) for parts in zip(*seen, strict=True))
    assert torch.equal(x, trainer.scheduler.add_noise(examples.images, e, t))
    assert torch.equal(labels, examples.labels)
    monkeypatch.setattr(recording, "MEASURED", 3)
    assert held_out_loss(trainer, examples) != found and sum(len(x) for x, _ in seen) == 13


def test_a_step_is_adamws_at_the_rate_of_the_step_on_a_clipped_gradient():
    """And the average takes the new weights in; all drawn from the seed: images, times, noise."""
    recipe = replace(SHORT, clip_norm=0.01, weight_decay=0.25, drop_label=0.0, flip=False)
    trainer, own = trainer_of(recipe), tiny(0)
    examples, generator = examples_of(), torch.Generator().manual_seed(recipe.seed)
    own.load_state_dict(trainer.network.state_dict())
    adam = torch.optim.AdamW(own.parameters(), weight_decay=0.25)
    for step in range(2):
        loss = trainer.step(examples)
        chosen = torch.randint(len(examples), (4,), generator=generator)
        t = torch.randint(1000, (4,), generator=generator)
        e = torch.randn(4, 1, 8, 8, generator=generator)
        torch.rand(4, generator=generator)  # of dropped labels
        x_t = trainer.scheduler.add_noise(examples.images[chosen], e, t)
        expected = (own(x_t, t, class_labels=examples.labels[chosen]).sample - e).square().mean()
        torch.testing.assert_close(loss, expected.detach())
        adam.param_groups[0]["lr"] = recipe.rate(step)
        adam.zero_grad()
        expected.backward()
        torch.nn.utils.clip_grad_norm_(own.parameters(), 0.01)
        adam.step()
    for found, wanted in zip(trainer.network.parameters(), own.parameters(), strict=True):
        torch.testing.assert_close(found, wanted)


def test_the_curve_has_fifty_means_each_of_the_losses_since_the_last(tmp_path, monkeypatch):
    trainer = trainer_of(replace(SHORT, steps=100))

    def step(examples):
        trainer.progress.step += 1
        return torch.tensor(float(trainer.progress.step))

    monkeypatch.setattr(trainer, "step", step)
    run_training(trainer, examples_of(), tmp_path / "state.pt", {}, quiet=True)
    assert trainer.progress.curve == [(k, k - 0.5) for k in range(2, 101, 2)]


def test_a_run_takes_as_many_steps_as_the_rest_of_its_time_allows(monkeypatch):
    """Steps take 1/8 s while they warm up and 1/16 s then; 5 s were spent before, 10 s are left."""
    trainer, clock = trainer_of(SHORT), [100.0]
    trainer.progress.seconds = 5.0

    def step(examples):
        clock[0] += 1 / 8 if trainer.progress.step < 50 else 1 / 16
        trainer.progress.step += 1
        return torch.zeros(())

    monkeypatch.setattr(trainer, "step", step)
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    spent = 5 + 50 / 8 + 50 / 16
    assert loop._steps_within(spent + 10, trainer, examples_of()) == 100 + 160
    assert trainer.progress.seconds == spent


def test_losses_of_the_record_are_of_kept_images_with_their_labels_and_without(
    tmp_path, monkeypatch
):
    """And the classes are counted of those that were trained on."""
    seen = []
    monkeypatch.setattr(
        "real.experiments.training.classes.held_out_loss",
        lambda trainer, examples: seen.append(examples) or float(len(seen)),
    )
    record = train_small(tmp_path)
    assert record["kept_images_loss_per_pixel"] == {"labels": 1.0, "null label": 2.0}
    data = examples_from(*images_of(17, 8, 1, 3), 3).shuffled()
    for examples, labels in zip(seen, (data.labels[12:], torch.full((5,), 3)), strict=True):
        assert torch.equal(examples.images, data.images[12:])
        assert torch.equal(examples.labels, labels)
    counts = data.labels[:12].bincount(minlength=3).tolist()
    assert record["training_images_of_each_class"] == counts
