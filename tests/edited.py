"""Calibrations with something changed by hand."""

from dataclasses import replace


def with_shift(calibration, shift):
    """The calibration with another constant shift."""
    constant = replace(calibration.constant, shift=shift)
    return replace(calibration, parts=(constant, *calibration.parts[1:]))
