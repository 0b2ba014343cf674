"""Sums from which a network's residual is regressed on x_t and on its own prediction.

Per group of images and coordinate: of x_t, of the prediction y_theta, of the residual r, and of
their six products; of pixels, and of cosine coefficients where images have frequencies. They stream
and take memory linear in the size of an image.
"""

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.estimators.device_sums import Sums
from theory.estimators.low_rank import LowRankSums
from theory.forward.forward_pass import GROUPS, Observation
from theory.statistics.image_bases import Partition, dct, has_dct_bands


class AffineSums(Sums):
    """Takes in observations of one time, every draw of an image in the image's group."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, d = shape, torch.Size(shape).numel()
        self.draws = torch.zeros(GROUPS, dtype=torch.float64)
        self.sums = torch.zeros(GROUPS, 3, d, dtype=torch.float64)
        self.products = torch.zeros(GROUPS, 6, d, dtype=torch.float64)
        self.cosine_products = torch.zeros(
            GROUPS, 6 if has_dct_bands(shape) else 0, d, dtype=torch.float64
        )
        self.low_rank = LowRankSums(shape) if has_dct_bands(shape) else None

    def add_(self, seen: Observation) -> None:
        """Take in an observation, in place."""
        seen = self.beside(seen)
        draws = len(seen.prediction)
        member = seen.members().repeat(1, draws)
        x, y, r = (
            v.reshape(-1, self.sums.shape[2]) for v in (seen.x_t, seen.prediction, seen.residual)
        )
        self.draws += member.sum(1)
        for k, value in enumerate((x, y, r)):
            self.sums[:, k] += member @ value
        _add_products(self.products, member, x, y, r)
        if self.cosine_products.shape[1]:
            turned = (dct(v, self.shape) for v in (x, y, r))
            _add_products(self.cosine_products, member, *turned)
        if self.low_rank is not None:
            self.low_rank.add_(seen.group.repeat(draws), x, y, r)

    def means(self) -> Float64[Tensor, "group 3 d"]:
        """The means of x_t, y_theta and the residual of each group; zero for one without images."""
        return self.sums / self.draws.clamp(min=1)[:, None, None]

    def centred(
        self, centres: Float64[Tensor, "3 d"], cells: Partition
    ) -> Float64[Tensor, "group 6 cell"]:
        """Products of (x_t, y_theta, r) about the centres, summed over cells; per draw and group.

        Zero for a group without images.
        """
        products = self.cosine_products if cells.cosine else self.products
        x, y, r = cells.coordinates(self.sums).unbind(1)
        mx, my, mr = cells.coordinates(centres)
        n = self.draws[:, None]
        pairs = ((x, mx, x, mx), (x, mx, y, my), (y, my, y, my),
                 (x, mx, r, mr), (y, my, r, mr), (r, mr, r, mr))  # fmt: skip
        about = torch.stack([n * mu * mv - mu * v - mv * u for u, mu, v, mv in pairs], 1)
        return cells.sums(products + about) / self.draws.clamp(min=1)[:, None, None]


def _add_products(into: Tensor, member: Tensor, x: Tensor, y: Tensor, r: Tensor) -> None:
    pairs = ((x, x), (x, y), (y, y), (x, r), (y, r), (r, r))
    for k, (u, v) in enumerate(pairs):
        into[:, k] += member @ (u * v)
