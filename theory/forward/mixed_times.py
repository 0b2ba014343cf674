"""Whether a network takes images at several times in one call."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Real
from torch import Tensor

from theory.forward.images import Conditions, take

AGREEMENT = 0.05
"""Share of what another time changes by which predictions together may differ from those alone."""

ROUNDING = 1e-5
"""Share of the prediction by which they may differ in any case."""


class MixedTimes:
    """Asked once of a network: a user's own may read one time for all images of a call."""

    def __init__(self) -> None:
        self.taken: bool | None = None

    def taken_by(
        self,
        predicts: Sequence[Callable[..., Tensor]],
        x_t: Float[Tensor, "2 *shape"],
        t: Real[Tensor, "2"],
        conditions: Conditions | None,
    ) -> bool:
        """Whether all of these functions give each image its own time.

        Args:
            predicts: the network, and what it is held against.
            x_t, t, conditions: of two images at two times, to try it with the first time.
        """
        if self.taken is None:
            self.taken = all(_gives_each_its_own(p, x_t, t, conditions) for p in predicts)
        return self.taken


@torch.no_grad()
def _gives_each_its_own(
    predict: Callable[..., Tensor], x_t: Tensor, t: Tensor, conditions: Conditions | None
) -> bool:
    """Whether two images are predicted together as each is with itself, and not as at the other's time."""

    def predicted(images: Sequence[int], times: Sequence[int]) -> Tensor:
        of_images: Any = take(conditions, torch.tensor(images))
        known = () if of_images is None else (of_images,)
        return predict(x_t[images], t[times], *known).double().flatten(1)

    try:
        together = predicted([0, 1], [0, 1])
        alone = torch.stack([predicted([i, i], [i, i])[0] for i in (0, 1)])
        at_other = torch.stack([predicted([i, i], [1 - i, 1 - i])[0] for i in (0, 1)])
    except Exception:  # whatever a user's code says to two times: it is not called with them
        return False
    allowed = AGREEMENT * (at_other - alone).norm(dim=1) + ROUNDING * alone.norm(dim=1)
    return bool(((together - alone).norm(dim=1) <= allowed).all())
