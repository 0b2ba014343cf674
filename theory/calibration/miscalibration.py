"""Is a network miscalibrated? A test of E[x_0,theta - x_0] = 0 at each time that may stop when it knows.

Predictions of x_0 are clipped to the range of the data, R wide, so that every coordinate of an image's
residual lies in [-R, R]. Bets on these residuals (``theory.statistics.mean_zero_test``) have an e-value
at every number of images: where it reaches T/p at one of T times, the network is miscalibrated there,
with probability p of any error (Ville, Bonferroni). An exact network predicts within the range, so that
clipping is no error of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from theory.calibration.arguments import as_device, as_schedule_times, as_target
from theory.diffusion.data_range import DataRange, error_scale
from theory.diffusion.schedules import Schedule, Times
from theory.diffusion.targets import NOISE, Target
from theory.forward.forward_pass import observe
from theory.forward.images import DEFAULT_BATCH, Conditions, Images, ImageSet
from theory.forward.keyed_noise import Draws
from theory.forward.network import Network, Predict
from theory.forward.survey import survey
from theory.statistics.intervals import LEVEL
from theory.statistics.mean_zero_test import MeanZeroTest

PURPOSE = "test"


@dataclass(frozen=True)
class TimeVerdict:
    """What is known at one time.

    Attributes:
        t: the time.
        e_value: the wealth when it was enough, or else after all images.
        known_after: images after which it was enough; None where the network is not known to be
            miscalibrated, which does not say that it is calibrated.
    """

    t: float
    e_value: float
    known_after: int | None


@dataclass(frozen=True)
class MiscalibrationTest:
    """What is known at all times together.

    Attributes:
        times: the verdicts.
        images: how many independent images were seen.
        threshold: the e-value that is enough at one of so many times (Bonferroni).
    """

    times: tuple[TimeVerdict, ...]
    images: int
    threshold: float

    @property
    def miscalibrated(self) -> int:
        """At how many times the network is known to be miscalibrated."""
        return sum(verdict.known_after is not None for verdict in self.times)


def betting_test(
    predict: Predict,
    schedule: Schedule,
    *,
    target: Target | str = NOISE,
    images: Images,
    times: Times | int,
    conditions: Conditions | None = None,
    groups: Sequence[Any] | Tensor | None = None,
    data_range: tuple[float, float] = (-1.0, 1.0),
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
) -> MiscalibrationTest:
    """Bet against E[x_0,theta] = E[x_0] at each time, batch after batch, until all times are known.

    Args:
        predict, schedule, target, times, conditions, groups, seed, batch_size, device, on_progress: as
            for ``calibrate``. Of copies of an image the first alone is bet on.
        images: in no order, as those of a shuffled set.
        data_range: to which predictions of x_0 are clipped, and in which the images lie.

    Raises:
        InputError: as ``calibrate``; images outside the range, or a time at which a prediction tells
            nothing of x_0.
    """
    network, held = Network(predict, schedule, as_target(target)), DataRange(*data_range)
    times = as_schedule_times(schedule, times)
    scales = error_scale(schedule, network.target, times).tolist()
    image_set = ImageSet(images, conditions, batch_size, groups)
    members = survey(image_set).firsts.expand(len(times), -1)
    threshold = len(times) / (1 - LEVEL)
    tests = [MeanZeroTest(held.width, threshold) for _ in times]
    seen_images = 0
    for seen in observe(
        network, image_set, times, Draws(seed, PURPOSE), members=members, device=as_device(device),
        on_progress=on_progress,
    ):  # fmt: skip
        held.require(seen.x_0)
        k = seen.time_index
        y = held.clip(seen.prediction[0], seen.x_t[0], times[k][None], network.target, schedule)
        tests[k].add_(((y - seen.prediction[0] + seen.error[0]) / scales[k]).cpu())
        if k == len(times) - 1:
            seen_images += len(y)
            if all(test.rejected for test in tests):
                break
    verdicts = (_verdict(t, test) for t, test in zip(times.double().tolist(), tests, strict=True))
    return MiscalibrationTest(tuple(verdicts), seen_images, threshold)


def _verdict(t: float, test: MeanZeroTest) -> TimeVerdict:
    return TimeVerdict(t, test.e_value, test.count if test.rejected else None)
