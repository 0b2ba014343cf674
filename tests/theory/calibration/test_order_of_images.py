"""The order in which images come changes nothing: noise and groups belong to who they are."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from theory import calibrate, validate
from theory.calibration import Calibration, calibrate_exactly
from theory.diffusion.data_range import DataRange
from theory.diffusion.schedules import VPLinear
from theory.forward import calls
from theory.forward.keyed_noise import keyed_noise
from theory.forward.survey import Survey, survey
from theory.statistics.neyman_allocation import Goal

N, SHAPE, TIMES = 48, (3, 8, 8), 3
IMAGES = (0.3 * keyed_noise(0, "images", 0, 0, torch.arange(N), SHAPE)).clamp(-1, 1)
IMAGES[7], IMAGES[9], IMAGES[20] = IMAGES[3], IMAGES[3].flip(-1), IMAGES[21]
"""With copies, whose noise is their own, and a mirror image."""

HELD_OUT = (0.3 * keyed_noise(1, "images", 0, 0, torch.arange(N), SHAPE)).clamp(-1, 1)
ORDER = torch.randperm(N, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(N) % 3
LABELS[7], LABELS[20] = LABELS[3], LABELS[21]
SCHEDULE = VPLinear()


def network(x_t: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
    """A network with errors."""
    shift = 0.05 if label is None else 0.05 * label.view(-1, 1, 1, 1)
    return 0.8 * x_t + 0.1 * x_t.flip(1) + shift


WAYS = {
    "order 0": {"order": 0},
    "order 1": {"draws": 2},
    "classes": {"classes": 3},
    "budget": {"goal": Goal(evaluations=200)},
    "exact": {"data_range": DataRange(-1.0, 1.0)},
}


def made(way: str, order: Tensor, **other: object) -> Calibration:
    """The calibration on the images in an order, in batches of another size."""
    options = WAYS[way] | other
    labels = LABELS[order] if "classes" in options else None
    run = calibrate_exactly if "data_range" in options else calibrate
    return run(network, SCHEDULE, images=IMAGES[order], times=TIMES, conditions=labels, **options)


def apart(one: Calibration, other: Calibration) -> float:
    """The largest difference of two calibrations, relative to the larger numbers."""
    pairs = [
        (one.shift, other.shift),
        (one.error_energy, other.error_energy),
        (torch.tensor(one.total_certificate), torch.tensor(other.total_certificate)),
        (probe(one), probe(other)),
    ]
    return max(((a - b).abs().max() / (a.abs().max() + 1e-12)).item() for a, b in pairs)


def probe(calibration: Calibration) -> Tensor:
    """What it subtracts somewhere."""
    x_t = HELD_OUT[:4]
    y = network(x_t, torch.zeros(4))
    label = torch.tensor([0, 1, 2, 0]) if len(calibration.parts) > 2 else None
    return torch.stack([calibration.correction(x_t, t[None], y, label) for t in calibration.times])


@pytest.mark.parametrize("way", WAYS)
def test_a_calibration_does_not_depend_on_the_order_of_the_images(way):
    as_they_are, permuted = made(way, torch.arange(N)), made(way, ORDER, batch_size=7)
    assert apart(as_they_are, permuted) < 1e-9
    assert torch.equal(as_they_are.image_ids, permuted.image_ids)
    assert as_they_are.choices == permuted.choices and as_they_are.doubts == permuted.doubts
    assert apart(as_they_are, made(way, torch.arange(N), seed=1)) > 1e-4


def test_noise_by_position_is_told_apart(monkeypatch):
    """The mistake that this is for."""
    monkeypatch.setattr(
        calls, "numbered", lambda ids, before: torch.arange(len(ids)) + before.total()
    )
    assert apart(made("order 1", torch.arange(N)), made("order 1", ORDER)) > 1e-4


def test_groups_by_position_are_told_apart(monkeypatch):
    plain = made("order 1", torch.arange(N))
    monkeypatch.setattr(
        "theory.calibration.passes.survey",
        lambda images: replace(found := survey(images), units=first_come(found)),
    )
    assert apart(plain, made("order 1", ORDER)) > 1e-4


def first_come(found: Survey) -> Tensor:
    """Units numbered in the order of their first images."""
    number = {unit: k for k, unit in enumerate(dict.fromkeys(found.units.tolist()))}
    return torch.tensor([number[unit] for unit in found.units.tolist()])


def test_a_validation_does_not_depend_on_the_order_of_the_images():
    calibration = made("order 1", torch.arange(N))
    one, other = (
        validate(network, calibration, images=HELD_OUT[order], batch_size=size)
        for order, size in ((torch.arange(N), 256), (ORDER, 7))
    )
    torch.testing.assert_close(one.gains[ORDER], other.gains, rtol=1e-9, atol=1e-9)
    for ours, theirs in (
        (one.bound_gain(), other.bound_gain()),
        (one.eta_sq[0], other.eta_sq[0]),
    ):
        assert ours.value == pytest.approx(theirs.value, rel=1e-9)
        assert ours.lower == pytest.approx(theirs.lower, rel=1e-9)
