"""DDPM's network as score_sde has it: the layout of NCSN++ with DDPM's own blocks.

Ho, Jain & Abbeel, "Denoising Diffusion Probabilistic Models" (2020). Names are those of the
published code, whose layers stand in the same order as NCSN++'s.
"""

from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from real.families.resampling import Direction
from real.families.score_sde.ncsnpp import NIN, NCSNpp, ResidualBlock


class PlainBlock(ResidualBlock):
    """DDPM's residual block: without resampling, and with a skip that is projected by ``NIN``."""

    def __init__(self, in_channels: int, out_channels: int, emb_channels: int) -> None:
        super().__init__(in_channels, out_channels, emb_channels, rescale=False, taps=())
        self.Conv_2 = None
        self.NIN_0 = NIN(in_channels, out_channels) if in_channels != out_channels else None

    def _projected(self, x: Tensor) -> Tensor:
        return x if self.NIN_0 is None else self.NIN_0(x)


class ConvResampling(nn.Module):
    """Resampling by two: a convolution with stride 2, or repetition and a convolution."""

    def __init__(self, channels: int, direction: Direction) -> None:
        super().__init__()
        self.up = direction == "up"
        self.Conv_0 = nn.Conv2d(
            channels, channels, 3, stride=1 if self.up else 2, padding=1 if self.up else 0
        )

    def forward(
        self, x: Float[Tensor, "b c h w"], emb: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b c h2 w2"]:
        """x at twice or half the height and width; the embedding is not used."""
        return self.Conv_0(F.interpolate(x, scale_factor=2) if self.up else F.pad(x, (0, 1, 0, 1)))


class DDPM(NCSNpp):
    """h(x, label) of images (b, channels, r, r) in [-1, 1], of their own shape.

    Args:
        shape: image_size, num_channels, num_scales, nf, ch_mult, num_res_blocks, attn_resolutions
            and scale_by_sigma, as of ``NCSNpp``. With nf of 128 or more normalization has 32 groups,
            as upstream's has.
    """

    def __init__(self, **shape: Any) -> None:
        super().__init__(
            taps=(1, 1), skip_rescale=False, embedding_type="positional", progressive="none",
            progressive_input="none", progressive_combine="sum", **shape,
        )  # fmt: skip

    def _block(self, c_in: int, c_out: int, resample: Direction | None = None) -> nn.Module:
        return ConvResampling(c_in, resample) if resample else PlainBlock(c_in, c_out, 4 * self.nf)
