"""What speaks against the description of a network, in one line.

A calibration is relative to a description: target, schedule, range and choice of the images, their
conditions. A wrong one looks like a huge gain. Three things give it away. The network predicts worse
than a line in x_t (``theory.estimators.line_check``). The mean of its predictions of x_0, at noise
that hides all but the kinds of image there are, is not that of the images. And it predicts better under
another description (``theory.calibration.alternatives``).
"""

from collections.abc import Sequence

from theory.diffusion.targets import DATA, Target, shift_factor
from theory.estimators.line_check import MARGIN, LineComparison
from theory.estimators.time_grid import TimeGrid
from theory.statistics.intervals import Estimate

CAUSES = (
    "target, schedule or its direction, range of the images and whether they are of all kinds that the "
    "network was trained on, order of channels, conditions"
)

MEAN_MARGIN = 0.02
"""Share of the variance of the images by which the mean of the predicted x_0 may be wrong: it is at
most 0.005 for networks on images like those they were trained on, and 0.05 to 0.4 for one class."""

MEAN_LOG_SNR = (-5.5, -2.0)
"""Where the mean of the predictions tells of the images: below, no network predicts it well; above, x_t
itself shows which kind of image it is."""


def description_warning(
    grid: TimeGrid,
    target: Target,
    comparisons: Sequence[LineComparison],
    eta_sq: Sequence[Estimate],
    doubts: Sequence[str] = (),
) -> str | None:
    """One line with all that speaks against the description beyond doubt; None if nothing does.

    Args:
        grid: the times.
        target: what the network is said to predict.
        comparisons: with the best line, of each time; empty if unknown.
        eta_sq: |eta_t|^2, of each time.
        doubts: what else was found, such as a description under which the network predicts better.
    """
    found = [
        _line_doubt(grid, comparisons),
        _mean_doubt(grid, target, comparisons, eta_sq),
        *doubts,
    ]
    said = [text for text in found if text]
    if not said:
        return None
    return f"the network does not fit its description: {'; '.join(said)}; check {CAUSES}"


def _line_doubt(grid: TimeGrid, comparisons: Sequence[LineComparison]) -> str | None:
    lost = [
        (comparison.network / comparison.line, t)
        for comparison, t in zip(comparisons, grid.times.tolist(), strict=False)
        if comparison.excess(len(comparisons)) > MARGIN
    ]
    if not lost:
        return None
    ratio, t = max(lost)
    return (
        f"at {len(lost)} of {len(comparisons)} times it predicts worse than a straight line in x_t "
        f"(at worst {ratio:.3g} times its squared error, t = {t:g})"
    )


def _mean_doubt(
    grid: TimeGrid,
    target: Target,
    comparisons: Sequence[LineComparison],
    eta_sq: Sequence[Estimate],
) -> str | None:
    """|E x_0,theta - E x_0|^2 as a share of the variance of x_0, where it is too large."""
    factors = shift_factor(grid.times, target, DATA, grid.schedule).square().tolist()
    least, most = MEAN_LOG_SNR
    shares = [
        (factor * eta.lower / comparison.data_variance, t)
        for comparison, eta, factor, t, log_snr in zip(
            comparisons, eta_sq, factors, grid.times.tolist(), grid.log_snr.tolist(), strict=False
        )
        if least <= log_snr <= most and comparison.data_variance > 0
    ]
    share, t = max(shares, default=(0.0, 0.0))
    if not share > MEAN_MARGIN:
        return None
    return (
        f"the mean of the images that it predicts differs from that of these images by {share:.2g} of "
        f"their variance (t = {t:g})"
    )
