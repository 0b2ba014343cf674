"""DDPM's network as score_sde has it: the plan of NCSN++ with DDPM's own blocks.

Ho, Jain & Abbeel, "Denoising Diffusion Probabilistic Models" (2020). Names are those of the
published code, whose layers stand in the same order as NCSN++'s.
"""

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from real.families.score_sde.ncsnpp import NIN, NCSNpp, norm


class PlainBlock(nn.Module):
    """DDPM's residual block."""

    def __init__(self, in_channels: int, out_channels: int, emb_channels: int) -> None:
        super().__init__()
        self.GroupNorm_0 = norm(in_channels)
        self.Conv_0 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.Dense_0 = nn.Linear(emb_channels, out_channels)
        self.GroupNorm_1 = norm(out_channels)
        self.Conv_1 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.NIN_0 = NIN(in_channels, out_channels) if in_channels != out_channels else None

    def forward(
        self, x: Float[Tensor, "b c h w"], emb: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b c2 h w"]:
        h = self.Conv_0(F.silu(self.GroupNorm_0(x)))
        h = h + self.Dense_0(F.silu(emb))[:, :, None, None]
        h = self.Conv_1(F.silu(self.GroupNorm_1(h)))
        return h + (x if self.NIN_0 is None else self.NIN_0(x))


class Resampling(nn.Module):
    """Half the size by a convolution with stride, or twice the size by repetition and one."""

    def __init__(self, channels: int, way: Literal["up", "down"]) -> None:
        super().__init__()
        self.up = way == "up"
        self.Conv_0 = nn.Conv2d(
            channels, channels, 3, stride=1 if self.up else 2, padding=1 if self.up else 0
        )

    def forward(
        self, x: Float[Tensor, "b c h w"], emb: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b c h2 w2"]:
        return self.Conv_0(F.interpolate(x, scale_factor=2) if self.up else F.pad(x, (0, 1, 0, 1)))


class DDPM(NCSNpp):
    """h(x, label) of images (b, channels, r, r) in [-1, 1], of their own shape.

    Args:
        image_size, num_channels, num_scales, nf, ch_mult, num_res_blocks, attn_resolutions,
            scale_by_sigma: as of ``NCSNpp``. With nf of 128 or more norms have 32 groups, as
            upstream's have.
    """

    def __init__(
        self,
        image_size: int,
        num_channels: int,
        num_scales: int,
        nf: int,
        ch_mult: Sequence[int],
        num_res_blocks: int,
        attn_resolutions: Sequence[int],
        scale_by_sigma: bool,
    ) -> None:
        super().__init__(
            image_size, num_channels, num_scales, nf, ch_mult, num_res_blocks, attn_resolutions,
            taps=(1, 1), skip_rescale=False, embedding_type="positional", progressive="none",
            progressive_input="none", progressive_combine="sum", scale_by_sigma=scale_by_sigma,
        )  # fmt: skip

    def _block(
        self, c_in: int, c_out: int, resample: Literal["up", "down"] | None = None
    ) -> nn.Module:
        return Resampling(c_in, resample) if resample else PlainBlock(c_in, c_out, 4 * self.nf)
