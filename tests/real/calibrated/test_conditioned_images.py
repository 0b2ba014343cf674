"""Images in memory with their conditions, and what a repair costs."""

import torch

from real.calibrated.conditions import ConditionedImages
from real.calibrated.repair import RepairSettings

IMAGES = torch.arange(5.0)[:, None, None, None].expand(5, 1, 2, 2)
SET = ConditionedImages(IMAGES, torch.tensor([0, 0, 1, 1, 2]))


def values(images):
    """The first pixel of each."""
    return images.images[:, 0, 0, 0].tolist()


def test_every_other_image_keeps_its_condition():
    half = SET.every_other()
    assert values(half) == [0.0, 2.0, 4.0]
    assert half.conditions.tolist() == [0, 1, 2]
    assert values(SET.at(torch.tensor([4, 1]))) == [4.0, 1.0]
    assert SET.at(torch.tensor([4, 1])).conditions.tolist() == [2, 0]


def test_conditions_in_turn_are_spread_over_a_sorted_set():
    assert SET.conditions_in_turn(3).tolist() == [0, 0, 1]
    assert SET.conditions_in_turn(10).tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert ConditionedImages(IMAGES).conditions_in_turn(3) is None


def test_a_repair_counts_all_images_half_of_them_again_and_held_out_ones_twice():
    settings = RepairSettings(torch.arange(3), draws=2)
    assert settings.evaluations(101, 7) == 3 * 2 * (101 + 50 + 2 * 7)
