"""Images side by side in one picture."""

import math
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from theory.support.output import replacing_file


def save_grid(images: Tensor, path: Path) -> None:
    """Write ``image_grid`` of the images as PNG, whole or not at all."""
    with replacing_file(path) as temporary:
        image_grid(images).save(temporary, format="PNG")


def image_grid(images: Tensor, least_side: int = 512, columns: int = 0) -> Image.Image:
    """Images (n, c, h, w) in [-1, 1] as one picture, tiny ones enlarged by whole factors.

    It is square-ish, or has so many ``columns``.
    """
    n, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = -(-n // columns)
    scale = max(1, least_side // (max(columns * width, rows * height)))
    pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().byte()
    pixels = pixels.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    pixels = pad(pixels, (max(1, scale // 2),) * 4, value=128)
    blank = pixels.new_full((rows * columns - n, *pixels.shape[1:]), 128)
    tiles = torch.cat([pixels, blank]).unflatten(0, (rows, columns))
    canvas = tiles.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1).numpy()
    return Image.fromarray(canvas[..., 0] if channels == 1 else canvas[..., :3])
