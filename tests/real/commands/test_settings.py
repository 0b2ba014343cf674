"""What options ask for is what is run: the seed, draws, images and range of each command."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from real.calibrated.calibrate import calibrate_checkpoint
from real.checkpoints.reloading import damaged
from real.cli import main
from real.compress import Damage
from real.compress.repaired_folder import save_repaired
from real.experiments import solver_study
from real.experiments.solver_study import SolverPlan
from real.families.data_range import in_range
from real.images.digits import digits
from real.images.latents import latents_of
from real.images.opening import open_images
from real.quality import feature_choice
from real.quality.features import PIXELS
from real.quality.measure import Reference, Sampler
from real.reports.image_grid import image_grid
from real.solvers import sampling
from real.solvers.by_name import solver_named
from real.solvers.sampling import latents, sample
from theory.calibration import Calibrated, Calibration, compare, validate
from theory.calibration.miscalibration import betting_test

SEED, DRAWS, COUNT = 5, 3, 20
SHAPE = (1, 8, 8)
ASKED = ["--images", str(COUNT), "--seed", str(SEED), "--quiet"]
DRAWN = ["--draws", str(DRAWS)]


class Seen(Exception):
    """A long computation was begun, and what it was begun with has been seen."""


def images(role):
    return open_images("digits", role, SHAPE, limit=COUNT)


def pictures(source):
    return torch.cat(list(source))


@pytest.fixture(scope="module")
def calibration(digits_checkpoint):
    return calibrate_checkpoint(
        digits_checkpoint, images("calibration"), [300, 999], seed=SEED, draws=DRAWS, order=0
    )


def test_a_calibration_has_the_seed_and_draws_that_are_asked_for(calibration, tmp_path):
    out = tmp_path / "c.safetensors"
    arguments = ["calibrate", "digits", "--at", "300,999", "--order", "0", *ASKED, *DRAWN]
    assert main([*arguments, "--out", str(out)]) == 0
    found = Calibration.load(out)
    torch.testing.assert_close(found.shift, calibration.shift)
    assert found.provenance["seed"] == SEED
    assert {choice.draws for choice in found.choices} == {DRAWS}


@pytest.fixture(scope="module")
def validated(calibration, tmp_path_factory):
    """The folder that ``validate`` wrote, the calls that sampled, and the samples."""
    folder, calls = tmp_path_factory.mktemp("validated"), []
    calibration.save(folder / "c.safetensors")

    def watched(checkpoint, predict, **options):
        drawn = sample(checkpoint, predict, **options)
        calls.append(SimpleNamespace(predict=predict, drawn=drawn, **options))
        return drawn

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "sample", watched)
        pair = (
            solver_named("ddim"),
            solver_named("dpm-multi-2"),
        )  # one and the same but for analytic
        patch.setattr("real.solvers.by_name.solver_pair", lambda *given: pair)
        more = ["--nfe", "2", "--samples", "4", "--out", str(folder / "r")]
        made = ["--calibration", str(folder / "c.safetensors")]
        assert main(["validate", "digits", *made, *ASKED, *DRAWN, *more]) == 0
    return folder / "r", calls


def test_a_validation_has_the_seed_and_draws_that_are_asked_for(
    validated, calibration, digits_checkpoint
):
    found = json.loads((validated[0] / "report.json").read_text())
    expected = validate(
        digits_checkpoint.predict, calibration, images=images("held-out"), seed=SEED, draws=DRAWS
    )
    assert found["bound_gain_nats"] == pytest.approx(vars(expected.bound_gain()), rel=1e-5)
    assert found["settings"] == {
        "calibration": str(validated[0].parent / "c.safetensors"), "data": "digits", "seed": SEED,
        "draws": DRAWS, "solver": "ddim", "nfe": 2, "samples": 4,
    }  # fmt: skip


def test_samples_of_a_validation_are_shown_without_and_with_calibration(
    validated, digits_checkpoint
):
    folder, (before, after) = validated
    assert isinstance(after.predict, Calibrated) and not isinstance(before.predict, Calibrated)
    assert (before.solver.name, after.solver.name) == ("ddim", "dpm-multi-2")
    noise = latents(digits_checkpoint, 4, SEED)
    for call, name in ((before, "samples_before"), (after, "samples_after")):
        assert torch.equal(call.noise, noise)
        assert (call.seed, call.nfe) == (SEED, 2)
        shown = np.asarray(Image.open(folder / f"{name}.png"))
        assert np.array_equal(shown, np.asarray(image_grid(call.drawn.images)))
    assert not torch.equal(before.drawn.images, after.drawn.images)
    shown = np.asarray(Image.open(folder / "samples_held_out.png"))
    assert np.array_equal(shown, np.asarray(image_grid(pictures(images("held-out"))[:4])))


def test_samples_have_the_noise_of_the_seed(tmp_path, digits_checkpoint):
    """Of their start, and what a stochastic solver adds."""
    out = tmp_path / "s.png"
    arguments = ["sample", "digits", "--solver", "ddpm", "--nfe", "3", "--samples", "4"]
    assert main([*arguments, "--seed", str(SEED), "--quiet", "--out", str(out)]) == 0
    noise = latents(digits_checkpoint, 4, SEED)
    drawn = sample(
        digits_checkpoint, digits_checkpoint.predict, noise, solver="ddpm", nfe=3, seed=SEED
    )
    assert np.array_equal(np.asarray(Image.open(out)), np.asarray(image_grid(drawn.images)))


@pytest.fixture(scope="module")
def compared(tmp_path_factory, digits_checkpoint):
    """What ``compare`` wrote of a quantized network, it, and the images of its samples' distances."""
    folder, damage, used = tmp_path_factory.mktemp("compared"), Damage("int4"), {}
    other = damaged(digits_checkpoint, damage)
    (folder / "int4").mkdir()
    save_repaired(folder / "int4", digits_checkpoint, damage, other)
    reference_of = Reference.of

    def train(source, seed, device):
        used.update(trained=pictures(source), seed=seed)
        return PIXELS

    def of(features, source, device):
        used.update(judging=pictures(source))
        return reference_of(features, source, device)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_choice, "train_features", train)
        patch.setattr(Reference, "of", of)
        sampled = ["--samples", "4", "--nfe", "1", "--features", "trained"]
        arguments = ["compare", "digits", str(folder / "int4"), "--at", "300,999", *sampled]
        assert main([*arguments, *ASKED, *DRAWN, "--out", str(folder / "c")]) == 0
    return json.loads((folder / "c" / "compare.json").read_text()), other, used


def test_a_comparison_has_the_seed_and_draws_that_are_asked_for(compared, digits_checkpoint):
    found, other, used = compared
    expected = compare(
        digits_checkpoint.network, other.network, images=images("held-out"), times=[300, 999],
        seed=SEED, draws=DRAWS,
    )  # fmt: skip
    assert found["bound_rise_nats"] == pytest.approx(vars(expected.bound_rise()), rel=1e-4)
    assert used["seed"] == SEED
    assert found["settings"] == {
        "data": "digits", "seed": SEED, "draws": DRAWS, "dtype": "float32", "times": "300, 999",
    }  # fmt: skip
    assert found["samples"]["seeds"] == [SEED, SEED + 1, SEED + 2]


def test_samples_of_a_comparison_are_judged_by_images_that_train_nothing(compared):
    found, _, used = compared
    assert torch.equal(used["trained"], pictures(images("calibration")))
    assert torch.equal(used["judging"], pictures(images("held-out")))
    floor = Reference.of(PIXELS, images("held-out"), "cpu")
    expected = floor.of_real(images("calibration").spread(4), SEED)["frechet"]
    assert found["samples"]["real_images"]["frechet"] == pytest.approx(expected)


def test_a_network_is_bet_against_in_its_own_range_and_with_its_seed(tmp_path, digits_checkpoint):
    """Half the range: the images are half as wide, and so is what predictions are clipped to."""
    out = tmp_path / "v.json"
    arguments = ["test", "digits", "--at", "300,600", "--range=-0.5,0.5", *ASKED]
    assert main([*arguments, "--out", str(out)]) == 0
    half = in_range(digits_checkpoint, -0.5, 0.5)
    shuffled = torch.randperm(COUNT, generator=torch.Generator().manual_seed(SEED))
    expected = betting_test(
        half.predict, half.schedule, target=half.target,
        images=latents_of(images("calibration"), half.codec, "cpu").at(shuffled.tolist()),
        times=[300, 600], seed=SEED,
        data_range=(-0.5, 0.5),
    )  # fmt: skip
    found = [verdict["e_value"] for verdict in json.loads(out.read_text())["times"]]
    assert found == pytest.approx([verdict.e_value for verdict in expected.times], rel=1e-4)
    assert all(abs(value - 1) > 1e-3 for value in found)


def test_an_exact_certificate_is_made_in_the_range_of_the_network(digits_checkpoint):
    half = in_range(digits_checkpoint, -0.5, 0.5)
    source = latents_of(images("calibration"), half.codec, "cpu")
    made = calibrate_checkpoint(half, source, [600, 999], certificate="exact", order=0)
    assert (made.exact.data_range.least, made.exact.data_range.most) == (-0.5, 0.5)


def test_a_fit_has_the_seed_and_starts_that_are_asked_for(tmp_path, monkeypatch):
    seen = []

    def watched(*given, **options):
        seen.append(options)
        raise Seen

    monkeypatch.setattr("real.calibrated.fitted_solvers.fit_checkpoint_solver", watched)
    arguments = ["fit-solver", "digits", "--nfe", "2", "--starts", "18", "--fresh", "17", *ASKED]
    with pytest.raises(Seen):
        main([*arguments, "--out", str(tmp_path / "f.safetensors")])
    (options,) = seen
    assert (options["seed"], options["starts"], options["fresh"]) == (SEED, 18, 17)
    assert options["provenance"]["seed"] == SEED
    assert torch.equal(pictures(options["images"]), pictures(images("calibration")))


def test_a_repair_has_the_settings_that_are_asked_for(tmp_path, monkeypatch):
    seen = []

    def watched(original, damage, source, held_out, settings):
        seen.append((damage, source, held_out, settings))
        raise Seen

    monkeypatch.setattr("real.calibrated.repair.repair", watched)
    arguments = ["repair", "digits", "--quantize", "int4", "--prune", "0.25", "--times", "4"]
    more = ["--order", "0", "--against", "original", *ASKED, *DRAWN]
    with pytest.raises(Seen):
        main([*arguments, *more, "--out", str(tmp_path / "r")])
    ((damage, source, held_out, settings),) = seen
    assert damage == Damage("int4", 0.25)
    assert (settings.seed, settings.draws, settings.order) == (SEED, DRAWS, 0)
    assert (settings.against, len(settings.times)) == ("original", 4)
    assert torch.equal(pictures(source), pictures(images("calibration")))
    assert torch.equal(pictures(held_out), pictures(images("held-out")))


STUDIES = {
    "study": "real.experiments.estimator_study.run_estimator_study",
    "repair-study": "real.experiments.repair_study.run_repair_study",
    "solver-study": "real.experiments.solver_study.solver_study",
}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_begins_at_its_seed_and_judges_by_images_of_their_own(name, tmp_path, monkeypatch):
    seen, trained = [], []

    def watched(plan, *reference):
        seen.append((plan, reference))
        raise Seen

    def train(source, seed, device):
        trained.append((pictures(source), seed))
        return PIXELS

    monkeypatch.setattr(STUDIES[name], watched)
    monkeypatch.setattr(feature_choice, "train_features", train)
    sampled = [] if name == "study" else ["--samples", "4", "--features", "trained"]
    arguments = [name, "digits", "--seed", str(SEED), "--seeds", "3", "--quiet", *sampled]
    with pytest.raises(Seen):
        main([*arguments, "--out", str(tmp_path / "s")])
    ((plan, reference),) = seen
    known, others = digits("calibration"), digits("held-out")
    fitted_to = pictures(plan.images) if name == "solver-study" else plan.images.images
    assert torch.equal(fitted_to, known)
    if name != "solver-study":
        assert torch.equal(plan.held_out.images, others)
    if name == "study":
        assert (plan.seed, plan.seeds) == (SEED, 3)
        return
    assert plan.seeds == (SEED, SEED + 1, SEED + 2)
    assert torch.equal(reference[0].rows, others.flatten(1))
    ((trained_on, seed),) = trained
    assert torch.equal(trained_on, known) and seed == SEED


def test_solvers_of_a_study_are_fitted_to_images_as_the_network_takes_them(tmp_path, monkeypatch):
    """Of a network in [0, 1] that is half the range of what samples are compared with."""
    seen = []

    def watched(plan, reference):
        seen.append((plan, reference))
        raise Seen

    monkeypatch.setattr(STUDIES["solver-study"], watched)
    arguments = ["solver-study", "digits", "--range=0,1", "--samples", "4", *ASKED]
    with pytest.raises(Seen):
        main([*arguments, "--out", str(tmp_path / "s")])
    ((plan, reference),) = seen
    torch.testing.assert_close(pictures(plan.images), (pictures(images("calibration")) + 1) / 2)
    assert torch.equal(reference.rows, pictures(images("held-out")).flatten(1))


def test_fits_of_a_study_have_its_first_seed(digits_checkpoint, monkeypatch):
    seen = []

    def watched(*given, **options):
        seen.append(options["seed"])
        raise Seen

    monkeypatch.setattr(solver_study, "fit_checkpoint_solver", watched)
    monkeypatch.setattr(solver_study, "_searched", lambda *given: (Sampler(torch.neg, "ddim"), 0))
    cpu = torch.device("cpu")
    plan = SolverPlan(digits_checkpoint, images("calibration"), (3,), 3, (SEED, 6), 4, None, cpu)
    with pytest.raises(Seen):
        list(solver_study.solver_study(plan, Reference.of(PIXELS, images("held-out"), "cpu")))
    assert seen == [SEED]
