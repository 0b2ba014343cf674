"""The constant shift as pictures: of which times, on which scale, in which colours."""

from dataclasses import replace

import pytest
import torch

from real.reports.bias import MOST_TIMES, bias_section, signed_colours
from theory.calibration import calibrate
from theory.diffusion.schedules import VPLinear

SHAPE = (1, 2, 2)


def calibration(weights, shift):
    """A calibration with these weights (T,) and this shift (T, c, h, w)."""
    n = len(weights)
    made = calibrate(
        lambda x_t, t, condition=None: x_t, VPLinear(), times=n, order=0,
        images=torch.randn(4, *shift.shape[1:], generator=torch.Generator().manual_seed(0)),
    )  # fmt: skip
    part = replace(made.constant, weights=torch.tensor(weights).double(), shift=shift.double())
    return replace(made, parts=(part,))


def test_values_are_orange_above_and_blue_below_nothing():
    (image,) = signed_colours(torch.tensor([[[1.0, 0.0], [-1.0, 0.5]]]))
    colours = ((image + 1) / 2).permute(1, 2, 0)
    assert torch.allclose(colours[0, 0], torch.tensor([0.84, 0.37, 0.0]))
    assert torch.allclose(colours[0, 1], torch.zeros(3))
    assert torch.allclose(colours[1, 0], torch.tensor([0.0, 0.45, 0.70]))
    assert torch.allclose(colours[1, 1], torch.tensor([0.42, 0.185, 0.0]))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_shift_is_shown_where_it_is_applied_over_its_largest_value(channels):
    shift = torch.arange(3 * channels * 4).reshape(3, channels, 2, 2) - 40.0
    made = calibration([0.5, 0.0, 1.0], shift)
    (picture,) = bias_section(made).pictures
    applied = shift[[0, 2]] / 40
    expected = applied if channels == 3 else signed_colours(applied[:, 0].double())
    assert torch.allclose(picture.images, expected.float())
    first, _, last = made.times.tolist()
    assert f"at t = {first:g}, {last:g}, from the left, on one scale of 40 (" in picture.caption
    assert ("tint" in picture.caption) == (channels == 3)
    assert picture.columns == 2


def test_of_many_times_the_first_the_last_and_some_between_are_shown():
    count = 2 * MOST_TIMES
    made = calibration(
        [1.0] * count, torch.arange(count)[:, None, None, None] * torch.ones(1, 3, 2, 2)
    )
    (picture,) = bias_section(made).pictures
    shown = (picture.images[:, 0, 0, 0] * (count - 1)).round().int().tolist()
    assert len(shown) == MOST_TIMES and (shown[0], shown[-1]) == (0, count - 1)
    assert shown == sorted(set(shown))


def test_where_nothing_is_applied_nothing_is_shown():
    section = bias_section(calibration([0.0, 0.0], torch.ones(2, 3, 2, 2)))
    assert section.pictures == () and "none is shown" in section.text[0]
