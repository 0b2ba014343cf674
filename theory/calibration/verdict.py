"""One sentence on a calibration: what it does, how sure that is, and whether to use it."""

from collections.abc import Sequence
from dataclasses import dataclass

from theory.statistics.intervals import FEW_IMAGES, Estimate

TOO_FAR = 3.0
"""A distance of neighbouring times in log-SNR over which a trapezoid says nothing of the bound."""

USE, DO_NOT, UNDECIDED = "use", "do not use", "undecided"


@dataclass(frozen=True)
class Verdict:
    """A sentence, and the advice in it: ``USE``, ``DO_NOT`` or ``UNDECIDED``."""

    sentence: str
    advice: str = UNDECIDED


def verdict_on(
    fall: Estimate,
    per_time: Sequence[Estimate],
    applied: int,
    units: int,
    warning: str | None,
    widest_gap: float,
) -> Verdict:
    """What held-out images say of a calibration.

    A network that does not fit its description is said first, as nothing else then means what it says.

    Args:
        fall: of the likelihood bound, in nats.
        per_time: falls of the loss, with intervals that hold together.
        applied: at how many times anything is subtracted.
        units: independent held-out images.
        warning: what speaks against the description of the network.
        widest_gap: the largest distance in log-SNR of neighbouring times.
    """
    if warning is not None:
        return Verdict(f"Do not use it yet: {warning}.", DO_NOT)
    if applied == 0:
        return Verdict(
            "The calibration changes nothing, as no gain was certain at any time; more images may show one."
        )
    if units < FEW_IMAGES:
        return Verdict(
            f"Nothing can be said from {units} independent images; measure it on {FEW_IMAGES} at least."
        )
    worse = sum(each.upper < 0 for each in per_time)
    if widest_gap > TOO_FAR:
        better = sum(each.lower > 0 for each in per_time)
        found = f"The loss is certainly lower at {better} of {_times(len(per_time))} and higher at {worse}"
        if worse and not better:
            return Verdict(f"{found}; do not use it.", DO_NOT)
        return Verdict(
            f"{found}. These times lie too far apart in log-SNR to say anything of the likelihood bound; "
            "calibrate at more times."
        )
    bound = f"(95 %: {fall.lower:.3g} to {fall.upper:.3g})"
    if fall.upper < 0:
        return Verdict(
            f"Calibration harms: the likelihood bound rises by {-fall.value:.3g} nats "
            f"(95 %: {-fall.upper:.3g} to {-fall.lower:.3g}); do not use it.",
            DO_NOT,
        )
    if fall.lower <= 0:
        return Verdict(
            f"It is not certain that calibration helps: the fall of the likelihood bound is {fall.value:.3g} "
            f"nats {bound}; measure it on more images."
        )
    helps = f"Calibration helps: the likelihood bound falls by {fall.value:.3g} nats {bound}"
    if worse:
        return Verdict(
            f"{helps}, but the loss is certainly higher at {_times(worse)} of {len(per_time)}; use it where "
            "the bound is what counts, and look at these times before you sample."
        )
    return Verdict(f"{helps}; at no time is the loss certainly higher; use it.", USE)


def _times(count: int) -> str:
    return f"{count} time" if count == 1 else f"{count} times"
