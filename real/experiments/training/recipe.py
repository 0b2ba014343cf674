"""How a network is trained."""

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class TrainingRecipe:
    """Noise prediction, mean squared error, AdamW, exponential moving average of the weights.

    The rate rises over the warm-up, stays, and falls in a line to zero over the last part of the
    run. Until it falls, nothing depends on ``steps``: a run may be shortened or lengthened on its
    way, and is still the run that this number of steps would have been from the start.

    Attributes:
        seed: of the first weights, images, times, noise, dropped labels and flips.
        steps: optimizer steps.
        batch_size: images per step, drawn with replacement.
        learning_rate, warm_up_steps: the rate that it stays at, and the steps until then.
        cool_down: the part of the run over which the rate falls to zero.
        weight_decay, clip_norm, ema_decay: of AdamW, of the gradient, of the average.
        drop_label: probability that an image's label is replaced by the null label.
        flip: mirror every second image, left to right.
        precision: of the forward pass; weights are always float32.
    """

    seed: int = 0
    steps: int = 5000
    batch_size: int = 64
    learning_rate: float = 2e-3
    warm_up_steps: int = 200
    cool_down: float = 1.0
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    drop_label: float = 0.0
    flip: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        warm_up = min(1, (step + 1) / self.warm_up_steps)
        cool_down = min(1, (1 - step / self.steps) / self.cool_down)
        return self.learning_rate * (warm_up * cool_down)

    def identity(self) -> dict[str, Any]:
        """What an interrupted run and its continuation must share: all but the steps."""
        return {name: value for name, value in asdict(self).items() if name != "steps"}
