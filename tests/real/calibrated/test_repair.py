"""A damaged network is repaired, held against full precision, saved and loaded; so is the study."""

import json
from dataclasses import replace

import pytest
import torch

from real.calibrated.repair import (
    AGAINST_FULL,
    FULL,
    NONE,
    ORDER_0,
    ORDER_1,
    RepairSettings,
    repair,
)
from real.checkpoints import load
from real.cli import main
from real.compress import Damage
from real.compress import repaired_folder as folder
from real.images.base import ImageSource
from real.images.digits import digits
from real.images.opening import open_images
from real.reports.origin import Origin
from real.reports.repair import repair_report
from theory.calibration.result import Calibration
from theory.calibration.validation import validate
from theory.forward.images import ImageSet, Unseen
from theory.support.errors import InputError

QUICK = ["--quiet", "--times", "3", "--images", "48"]


def held_out(checkpoint, count):
    return open_images("digits", "held-out", checkpoint.shape).at(range(count))


@pytest.fixture(scope="module")
def found(digits_checkpoint):
    images = open_images("digits", "calibration", digits_checkpoint.shape, limit=100)
    settings = RepairSettings(digits_checkpoint.schedule.grid(4), seed=3)
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


def test_a_repair_is_held_against_unseen_images_alone(digits_checkpoint):
    images = open_images("digits", "calibration", digits_checkpoint.shape, limit=40)
    mixed = torch.cat([torch.cat(list(images))[:7], digits("held-out")[:5]])
    settings = RepairSettings(digits_checkpoint.schedule.grid(2), seed=3)
    found = repair(
        digits_checkpoint, Damage("int3"), images, ImageSource.of("mixed", mixed), settings
    )
    assert {len(losses) for losses in found.losses.values()} == {5}


def test_both_calibrations_take_as_many_evaluations(found):
    truth, full = (c.provenance for c in (found.calibration, found.against_full))
    assert truth["evaluations"] == 2 * full["evaluations"] == 4 * 100


def test_what_a_repair_cost_counts_both_networks_of_a_reference(found):
    """Against full precision each draw takes two evaluations: half the images, as many in all."""
    numbers = repair_report(found, Origin("command"), 123).numbers
    assert (numbers["evaluations"], numbers["evaluations_against_full"]) == (400, 400)
    assert numbers["bytes"] == 123
    assert numbers["fingerprint"] == found.network.fingerprint != found.original.fingerprint


def test_the_numbers_of_a_repair_are_of_the_network_that_they_name(found):
    numbers = repair_report(found, Origin("command"), None).numbers
    assert set(numbers["above_full"]) == {NONE, ORDER_0, ORDER_1, AGAINST_FULL}
    assert numbers["kept"] == ORDER_1
    parameters = dict(found.original.modules["unet"].named_parameters())
    assert numbers["parameters"] == sum(tensor.numel() for tensor in parameters.values())
    assert numbers["images_held_out"] == len(found.losses[NONE])
    log_snr = found.calibration.grid.log_snr.tolist()
    assert [row["log_snr"] for row in numbers["times"]] == log_snr
    assert [row["t"] for row in numbers["times"]] == found.calibration.times.tolist()
    for name, above in numbers["above_full"].items():
        assert above == vars(found.above_full(name))
    for k, row in enumerate(numbers["times"]):
        for name, losses in found.losses.items():
            assert row[name]["value"] == pytest.approx(losses[:, k].mean().item())


def test_undamaged_there_is_nothing_to_repair_toward_the_original(digits_checkpoint):
    images = open_images("digits", "calibration", digits_checkpoint.shape, limit=40)
    settings = RepairSettings(digits_checkpoint.schedule.grid(2))
    same = repair(digits_checkpoint, Damage(), images, held_out(digits_checkpoint, 20), settings)
    assert torch.equal(same.losses[NONE], same.losses[FULL])
    assert torch.allclose(same.losses[AGAINST_FULL], same.losses[FULL])


def test_images_that_were_calibrated_with_are_not_held_out(found):
    seen = open_images("digits", "calibration", found.original.shape, limit=100)
    mixed = torch.cat([torch.cat(list(seen))[:7], digits("held-out")[:5]])
    made = found.calibration
    unseen = Unseen(ImageSet(mixed), made.image_ids, made.shape)
    assert sum(map(len, unseen)) == 5
    assert unseen.left_out == 7
    with pytest.raises(InputError, match="at least two that the calibration has not seen, got 0"):
        list(Unseen(ImageSet(mixed[:7]), made.image_ids, made.shape))


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
    calibration = Calibration.load(repaired / folder.CALIBRATION)
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
    assert numbers["kept"] == AGAINST_FULL == "calibrated on full precision's predictions"
    assert (repaired / "repair.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "expected --quantize or --prune"),
        (["--quantize", "int5"], "quantize: expected one of int8"),
        (["--prune", "1.5"], "expected a number above 0 and below 1"),
        (["--quantize", "int4", "--order", "2"], "invalid choice"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, arguments, said):
    with pytest.raises(InputError, match=said):
        main(["repair", "digits", *arguments, "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_networks_are_called_on_as_many_images_as_memory_allows(digits_checkpoint):
    """Both of them; here three at once are too many."""
    sizes = []

    def greedy(x_t, t, condition=None):
        sizes.append(len(x_t))
        if len(x_t) > 2:
            raise MemoryError
        return digits_checkpoint.predict(x_t, t)

    images = open_images("digits", "calibration", digits_checkpoint.shape, limit=6)
    settings = RepairSettings(digits_checkpoint.schedule.grid(2))
    greedy_one = replace(digits_checkpoint, predict=greedy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("real.calibrated.repair.damaged", lambda network, damage: network)
        found = repair(greedy_one, Damage(), images, held_out(digits_checkpoint, 4), settings)
    assert found.network.predict is not found.original.predict
    assert len(found.losses[FULL]) == 4 and max(sizes) > 2
