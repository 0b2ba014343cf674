"""What speaks against the description of a network, in one line.

A calibration is relative to a description: target, schedule, range and choice of the images, their
conditions. A wrong one looks like a huge gain. Three things give it away. The network predicts worse
than a line in x_t (``theory.estimators.line_check``). The mean of its predictions is far from right, above
all at noise that hides all but which kinds of image there are. And it predicts better under another
description (``theory.calibration.alternatives``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from theory.diffusion.targets import DATA, NOISE, Target, shift_factor
from theory.estimators.line_check import LineComparison
from theory.estimators.time_grid import TimeGrid
from theory.statistics.intervals import Estimate

CAUSES = (
    "target, schedule or its direction, range of the images and whether they are of all kinds that the "
    "network was trained on, order of channels, conditions"
)

MARGIN = 0.005
"""Share by which a network may lose to the line: where nearly all of x_t is noise the line is nearly
exact, and a right network loses to it by up to some ten thousandths."""

MEAN_MARGIN = 0.02
"""Share by which the mean of the predictions may be wrong."""

MILD = 0.5
"""Share of a mean error that a network of little training may have, too, though its description is right:
networks of a minute were seen to have 0.12."""

MEAN_LOG_SNR = (-5.5, -2.0)
"""Where the predicted x_0 tells of which images there are, and only its share of their variance counts:
it is at most 0.005 for images like those the network was trained on, and 0.05 to 0.4 for one class.
Below, no network predicts their mean well; above, x_t itself shows which image it is."""

NEXT_TO_NO_NOISE = 8.0
"""Log-SNR above which no network need know the noise."""

TINY = 1e-300


def description_warning(
    grid: TimeGrid,
    target: Target,
    comparisons: Sequence[LineComparison],
    eta_sq: Sequence[Estimate],
    dimension: int,
    doubts: Sequence[str] = (),
) -> str | None:
    """One line with all that speaks against the description beyond doubt; None if nothing does.

    Args:
        grid: the times.
        target: what the network is said to predict.
        comparisons: with the best line, of each time; empty if unknown.
        eta_sq: |eta_t|^2, of each time.
        dimension: d, of an image.
        doubts: what else was found, such as a description under which the network predicts better.
    """
    scales = _scales(grid, target, comparisons, dimension)
    share, of_mean = _mean_doubt(scales, eta_sq)
    said = [text for text in (_line_doubt(scales, comparisons), of_mean, *doubts) if text]
    if not said:
        return None
    if said == [of_mean] and share < MILD:
        return (
            f"the network is little trained or does not fit its description: {of_mean}; check whether it "
            f"was trained long enough, {CAUSES}"
        )
    return (
        f"the network does not fit its description: {'; '.join(said)}; check {CAUSES}, and whether it "
        "was trained long enough"
    )


@dataclass(frozen=True)
class _Scale:
    """What a squared error of the prediction at one time is a share of.

    Errors of one prediction as noise and as x_0 differ by the factor SNR, so that these shares do not
    depend on the target that the network is said to have.
    """

    t: float
    log_snr: float
    of_noise: float
    of_data: float

    def share(self, error: float) -> float:
        """Of the variance of the noise; at next to no noise, of that of x_0 if it is smaller."""
        of_noise, of_data = error * self.of_noise, error * self.of_data
        return of_noise if self.log_snr <= NEXT_TO_NO_NOISE else min(of_noise, of_data)


def _scales(
    grid: TimeGrid, target: Target, comparisons: Sequence[LineComparison], dimension: int
) -> list[_Scale]:
    noise, data = (
        shift_factor(grid.times, target, to, grid.schedule).square().tolist()
        for to in (NOISE, DATA)
    )
    places = zip(
        comparisons, grid.times.double().tolist(), grid.log_snr.tolist(), noise, data, strict=False
    )
    return [
        _Scale(t, log_snr, of_noise / dimension, of_data / max(comparison.data_variance, TINY))
        for comparison, t, log_snr, of_noise, of_data in places
    ]


def _line_doubt(scales: Sequence[_Scale], comparisons: Sequence[LineComparison]) -> str | None:
    """Where the network loses to the line by too large a share."""
    lost = [
        (comparison.network / max(comparison.line, TINY), scale.t)
        for comparison, scale in zip(comparisons, scales, strict=True)
        if scale.share(comparison.excess(len(comparisons))) > MARGIN
    ]
    if not lost:
        return None
    ratio, t = max(lost)
    return (
        f"at {len(lost)} of {len(comparisons)} times it predicts worse than a straight line in x_t "
        f"(at worst {_said(ratio)} times its squared error, t = {t:g})"
    )


def _said(ratio: float) -> str:
    """A ratio; the line may have next to no error."""
    return f"{ratio:.3g}" if ratio < 1e6 else "over a million"


def _mean_doubt(scales: Sequence[_Scale], eta_sq: Sequence[Estimate]) -> tuple[float, str | None]:
    """The largest share by which the mean of the predictions is wrong, and where, if it is too large."""
    least, most = MEAN_LOG_SNR
    shares = []
    for eta, scale in zip(eta_sq, scales, strict=False):
        tells = least <= scale.log_snr <= most
        share = eta.lower * scale.of_data if tells else scale.share(eta.lower)
        shares.append((share, scale.t, "images" if tells else "noise"))
    share, t, what = max(shares, default=(0.0, 0.0, ""))
    if not share > MEAN_MARGIN:
        return share, None
    said = f"the mean of its predictions is wrong by {share:.2g} of the variance of the {what} (t = {t:g})"
    return share, said
