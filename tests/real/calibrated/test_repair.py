"""A damaged network is repaired, held against full precision, saved and loaded; so is the study."""

import json
import math

import pytest
import torch

from real.calibrated.conditions import Conditioned
from real.calibrated.repair import (
    AGAINST_FULL,
    FULL,
    NONE,
    ORDER_0,
    ORDER_1,
    Settings,
    Unseen,
    repair,
)
from real.checkpoints import load
from real.checkpoints.reloading import damaged
from real.cli import main
from real.compress import Damage
from real.compress import repaired_folder as folder
from real.compress.quantize import denoisers
from real.experiments import repair_study, repair_study_report
from real.experiments.bias_training import with_trained_biases
from real.experiments.published_corrections import nothing
from real.images import digits, open_images
from real.quality.features import PIXELS
from real.quality.measure import Reference
from theory.calibration import files as calibrations
from theory.calibration.validation import validate
from theory.support.errors import InputError, NonFiniteError

QUICK = ["--quiet", "--times", "3", "--images", "48"]


def held_out(checkpoint, count):
    return open_images("digits", "held-out", checkpoint.shape).at(range(count))


@pytest.fixture(scope="module")
def found(digits_checkpoint):
    images = open_images("digits", "calibration", digits_checkpoint.shape, limit=100)
    settings = Settings(digits_checkpoint.schedule.grid(4), seed=3)
    return repair(
        digits_checkpoint, Damage("int3"), images, held_out(digits_checkpoint, 100), settings
    )


def test_three_bits_are_repaired_by_more_than_half_and_order_1_beats_order_0(found):
    above = {name: found.above_full(name) for name in (NONE, ORDER_0, ORDER_1, AGAINST_FULL)}
    assert above[NONE].lower > above[ORDER_0].upper > above[ORDER_0].lower > above[ORDER_1].upper
    assert above[ORDER_1].value < above[NONE].value / 2
    assert above[AGAINST_FULL].value < above[NONE].value / 2


def test_losses_are_those_that_validation_finds(found):
    validation = validate(
        found.network.predict, found.calibration, images=digits("held-out")[:100], seed=3
    )
    assert torch.allclose(found.losses[NONE], validation.losses)
    assert torch.allclose(found.losses[NONE] - found.losses[ORDER_1], validation.gains)
    assert torch.allclose(found.losses[NONE] - found.losses[ORDER_0], validation.shift_gains)


def test_both_calibrations_take_as_many_evaluations(found):
    truth, full = (c.provenance for c in (found.calibration, found.against_full))
    assert truth["evaluations"] == 2 * full["evaluations"] == 4 * 100


def test_undamaged_there_is_nothing_to_repair_toward_the_original(digits_checkpoint):
    images = open_images("digits", "calibration", digits_checkpoint.shape, limit=40)
    settings = Settings(digits_checkpoint.schedule.grid(2))
    same = repair(digits_checkpoint, Damage(), images, held_out(digits_checkpoint, 20), settings)
    assert torch.equal(same.losses[NONE], same.losses[FULL])
    assert torch.allclose(same.losses[AGAINST_FULL], same.losses[FULL])


def test_images_that_were_calibrated_with_are_not_held_out(found):
    seen = open_images("digits", "calibration", found.original.shape, limit=100)
    mixed = torch.cat([torch.cat(list(seen))[:7], digits("held-out")[:5]])
    assert sum(len(b) for b in Unseen(mixed, found.calibration.image_ids)) == 5
    with pytest.raises(InputError, match="at least two that the calibration has not seen, got 0"):
        list(Unseen(mixed[:7], found.calibration.image_ids))


def test_the_calibration_of_a_damaged_network_is_refused_for_its_original(found):
    c, o = found.calibration, found.original
    with pytest.raises(InputError, match="made for another network"):
        c.require(o.schedule, o.target, o.shape, o.fingerprint)


@pytest.fixture(scope="module")
def repaired(tmp_path_factory):
    out = tmp_path_factory.mktemp("repair") / "int4"
    arguments = ["--quantize", "int4", "--against", "original", "--out", str(out), *QUICK]
    assert main(["repair", "digits", *arguments]) == 0
    return out


def test_network_and_calibration_are_saved_together_and_load(repaired):
    network = load(repaired)
    calibration = calibrations.load(repaired / folder.CALIBRATION)
    calibration.require(network.schedule, network.target, network.shape, network.fingerprint)
    assert calibration.slopes is not None
    assert calibration.provenance["images"] == 24  # half of them: against the original


def test_the_page_and_the_numbers_say_the_same(repaired):
    numbers = json.loads((repaired / "repair.json").read_text())
    page = (repaired / "repair.html").read_text()
    assert numbers["bytes"] == (repaired / folder.NETWORK).stat().st_size
    for name, above in numbers["above_full"].items():
        assert name in page and f"{above['value']:+.3f}" in page
    assert len(numbers["times"]) == 3
    assert numbers["kept"] == AGAINST_FULL
    assert (repaired / "repair.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "expected --quantize or --prune"),
        (["--quantize", "int5"], "quantize: expected one of int8"),
        (["--prune", "1.5"], "expected a number between 0 and 1"),
        (["--quantize", "int4", "--order", "2"], "invalid choice"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, arguments, said):
    with pytest.raises(InputError, match=said):
        main(["repair", "digits", *arguments, "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_training_changes_biases_alone_and_lowers_the_loss(digits_checkpoint):
    network = damaged(digits_checkpoint, Damage("int8"))
    for _, module in denoisers(network):
        module.conv_out.bias.data += 0.5
    before = {n: t.clone() for n, t in network.modules["unet"].state_dict().items()}
    times = digits_checkpoint.schedule.grid(4)
    x_t, t = torch.zeros(4, 1, 8, 8), torch.full((4,), 500)

    def off():
        with torch.no_grad():
            return (network.predict(x_t, t) - digits_checkpoint.predict(x_t, t)).abs().mean()

    worst = off()
    trained = with_trained_biases(
        network, digits("calibration"), times, evaluations=3 * 32 * 25, seed=0
    )
    after = trained.modules["unet"].state_dict()
    assert all(n.endswith("bias") != torch.equal(t, before[n]) for n, t in after.items())
    assert off() < 0.9 * worst
    assert trained.fingerprint != network.fingerprint
    assert not any(p.requires_grad for p in trained.modules["unet"].parameters())


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repair_study, "REPEATS", 1)
        for module in (repair_study, repair_study_report):
            patch.setattr(module, "COMPARED", 3)
        patch.setattr(repair_study, "TIMED_SAMPLES", 8)
        out = tmp_path_factory.mktemp("study")
        arguments = ["--quiet", "--times", "3", "--images", "32", "--seeds", "1", "--nfe", "2,3",
                     "--samples", "6", "--few", "32", "--few-seeds", "1"]  # fmt: skip
        assert main(["repair-study", "digits", "--out", str(out), *arguments]) == 0
    return out


def test_the_study_has_every_network_correction_and_number_of_evaluations(studied):
    rows = json.loads((studied / "repair-study.json").read_text())
    cells = {(r["network"], r["correction"], r["seed"]) for r in rows["losses"]}
    assert len(cells) == len(rows["losses"]) == 6 + 3 * 10
    assert {r["nfe"] for r in rows["samples"]} == {2, 3}
    spent = {r["evaluations"] for r in rows["losses"]}
    assert spent == {0, 96}
    for row in rows["losses"]:
        if row["correction"] == "none":
            assert row["fall"]["value"] == 0


def test_the_study_measures_the_full_network_against_itself(studied):
    rows = json.loads((studied / "repair-study.json").read_text())["losses"]
    above = {(r["network"], r["correction"]): r["above_full"]["value"] for r in rows}
    assert above["full", "none"] == 0 < above["int4", "none"] < above["int3", "none"]


def test_samples_that_diverge_are_infinitely_far(digits_checkpoint, monkeypatch):
    def diverging(*_, **__):
        raise NonFiniteError("network: NaN")

    monkeypatch.setattr(repair_study, "sample", diverging)
    recipe = repair_study.Recipe(digits_checkpoint, nothing, 0)
    plan = repair_study.Plan(
        digits_checkpoint, Conditioned(digits("calibration")), Conditioned(digits("held-out")),
        digits_checkpoint.schedule.grid(2), (0,), (2,), 4, "ddim", 4, 1,
    )  # fmt: skip
    reference = Reference(PIXELS, torch.zeros(2, 64), torch.zeros(1), "cpu")
    noise = torch.zeros(4, 1, 8, 8)
    assert repair_study.distance_of(plan, recipe, reference, noise, 2, 0) == math.inf


def test_the_page_of_the_study_shows_its_tables(studied):
    page = (studied / "repair-study.html").read_text()
    shown = json.loads((studied / "repair-study.json").read_text())["tables"]
    assert "PTQD" in page
    for row in shown["frechet_compared"]:
        for cell in row["cells"]:
            assert cell is None or f"{cell['value']:.3f}" in page
