"""Everything that is summed over the images at one time, fed in one place."""

from collections.abc import Iterable
from dataclasses import replace

from theory.estimators.control_variates import Collector, Estimator
from theory.estimators.device_sums import Sums
from theory.estimators.line_check import LineSums
from theory.estimators.parts import PartEstimator
from theory.forward.forward_pass import Observation
from theory.forward.survey import MeanImage, Survey
from theory.statistics.moments import Moments

Tried = tuple[Estimator, int]
"""A control-variate estimator, and how many of the noise draws of an image it is given."""


class Accumulator(Sums):
    """The sums of one time: of the estimators that are tried, and of each part of the calibration.

    Args:
        mean_image: of all images.
        tried: estimators of the mean, each with a number of draws.
        parts: what else is estimated from the same observations.
    """

    def __init__(
        self, mean_image: MeanImage, tried: Iterable[Tried], parts: Iterable[PartEstimator]
    ) -> None:
        shape = tuple(mean_image.mean.shape)
        self.line = LineSums(mean_image.mean)
        self.collectors: dict[Tried, Collector] = {t: t[0].collector(shape) for t in tried}
        for (_, draws), collector in self.collectors.items():
            collector.expect_(draws)
        sums = {part: part.sums(shape) for part in parts}
        self.of_parts: dict[PartEstimator, Sums] = {p: s for p, s in sums.items() if s is not None}

    def members(self) -> list[tuple[str, Sums]]:
        """All sums by name."""
        tried = [(f"{e.name} {draws}", c) for (e, draws), c in self.collectors.items()]
        parts = [(type(part).__name__, s) for part, s in self.of_parts.items()]
        return [("line", self.line), *tried, *parts]

    def add_(self, seen: Observation) -> None:
        """Take in an observation of this time, in place. An image must not come twice."""
        for (_, draws), collector in self.collectors.items():
            collector.add_(seen.first(draws))
        for sums in (self.line, *self.of_parts.values()):
            sums.add_(seen)

    def keep(self, chosen: Tried) -> None:
        """Go on with one of the estimators that were tried."""
        self.collectors = {chosen: self.collectors[chosen]}

    def kept(self) -> Collector:
        """The sums of the one estimator that is left."""
        (collector,) = self.collectors.values()
        return collector

    def moments(self, survey: Survey, seen: int) -> Moments:
        """Moments of the units of the one estimator that is left, from as many images as were seen.

        Where these are not all, the mean of all images is known beside them.
        """
        everyone = survey.mean_image if seen < survey.count else None
        return replace(self.kept().to_("cpu").moments(everyone), clustered=survey.clustered)
