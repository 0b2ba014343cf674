"""What a calibration is made of: parts that are subtracted, and how each is estimated.

A part is one term of the correction, at every time: a constant shift, slopes on x_t and y_theta, a
shift of each class. All parts follow the two classes below: a ``PartEstimator`` says what to sum
over a forward pass and fits a ``Part`` to it, with its gain on every group of images as the other
groups would have made it. The certificate of a part, and that of the sum of all, follow from these
gains. To add a kind of correction is to write one module with both, and to name them
where a calibration is made (``theory.calibration.procedure``) and read (``theory.calibration.result``).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Bool, Float, Float64
from torch import Tensor

from theory.diffusion.targets import Target
from theory.estimators.device_sums import Sums
from theory.estimators.time_grid import Between, TimeGrid
from theory.forward.survey import MeanImage
from theory.statistics.moments import Moments
from theory.statistics.shrinkage import Policy
from theory.support.stored import Contents


@dataclass(frozen=True)
class Prediction:
    """A network's predictions y (b, *shape) at x_t (b, *shape), under a condition if it has any."""

    x_t: Float[Tensor, "b *shape"]
    y: Float[Tensor, "b *shape"]
    condition: Any = None


class Part(ABC):
    """One term of what is subtracted from a prediction, at each of T times. Plain data.

    Attributes:
        title: what it is called in a summary.
        gains: (T,), fall of the squared error to expect of it where it is applied, by leaving out
            groups of images.
        certificates: (T,), lower bounds of the gain, which hold together with those of all parts.
    """

    title: ClassVar[str]
    gains: Float64[Tensor, "time"]
    certificates: Float64[Tensor, "time"]

    @property
    @abstractmethod
    def applied(self) -> Bool[Tensor, "time"]:
        """At which times the part subtracts anything."""

    @abstractmethod
    def require_fit(self, times: int, shape: tuple[int, ...]) -> None:
        """Raises: InputError, the part is of another number of times or of other images."""

    @abstractmethod
    def correction(self, at: Between, given: Prediction) -> Float[Tensor, "any *shape"]:
        """What is subtracted from predictions at places (b,) or (1,); it broadcasts over them."""

    @abstractmethod
    def stored(self) -> Contents:
        """The part as tensors and texts for a file."""

    @classmethod
    @abstractmethod
    def from_stored(cls, stored: Contents, log_snr: Float64[Tensor, "time"]) -> "Part | None":
        """The part that a file holds, at times of these log-SNR; None if it holds none."""


@dataclass(frozen=True)
class Measured:
    """What a pass over the images measured, at every time.

    Attributes:
        grid: the times.
        target: what the network predicts.
        mean_image: of all images.
        moments: of the units whose mean is the estimate of eta_t.
        independent: how many independent images they are of: copies, and what belongs together, count once.
        noise_slopes: the multiple of the noise that was taken off each group's residuals; empty
            where no part takes them.
    """

    grid: TimeGrid
    target: Target
    mean_image: MeanImage
    moments: Sequence[Moments]
    independent: Sequence[float]
    noise_slopes: Sequence[Float64[Tensor, "group *_"]]


@dataclass(frozen=True)
class Rules:
    """How careful to be.

    Attributes:
        policy: what of an estimate is applied.
        statements: how many certificates hold together (Bonferroni's correction).
        importance: (T,), what a unit of gain at each time is worth.
    """

    policy: Policy
    statements: int
    importance: Float64[Tensor, "time"]


class PartEstimator(ABC):
    """How a kind of part is estimated; a frozen dataclass of its settings.

    Attributes:
        takes_noise_slopes: whether ``fit`` needs those of ``Measured``.
    """

    takes_noise_slopes: ClassVar[bool] = False

    @abstractmethod
    def sums(self, shape: tuple[int, ...]) -> Sums | None:
        """Empty sums of one time for images of this shape; None where the moments suffice."""

    def condensed(
        self, measured: Measured, sums: Sequence[Any], *, in_files: bool
    ) -> Sequence[Any]:
        """What ``fit`` needs of its sums of some times, whose images have all been seen.

        Args:
            measured: at these times.
            sums: of these times.
            in_files: whether what is large is kept in temporary files.
        """
        return sums

    def condensed_numbers(self, shape: tuple[int, ...]) -> int:
        """How many numbers ``condensed`` keeps of a time."""
        sums = self.sums(shape)
        return 0 if sums is None else sums.nbytes // 8

    @abstractmethod
    def fit(
        self, measured: Measured, sums: Sequence[Any], rules: Rules, before: Sequence[Part]
    ) -> tuple[Part, Float64[Tensor, "group time"]]:
        """The part, and its gains on each group of images, as all other groups would make it.

        Args:
            measured: what every part may use.
            sums: what ``condensed`` kept of its own sums, one per time; empty where it has none.
            rules: how careful to be.
            before: the parts that are subtracted already.
        """
