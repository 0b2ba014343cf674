"""Images side by side in one picture."""

import numpy as np
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad


def image_grid(images: Tensor, least_side: int = 512) -> Image.Image:
    """Images (n, c, h, w) in [-1, 1] as one square-ish picture, tiny ones enlarged by whole factors."""
    n, channels, height, width = images.shape
    columns = int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    scale = max(1, least_side // (max(columns * width, rows * height)))
    pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().byte()
    pixels = pixels.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    gap = max(1, scale // 2)
    pixels = pad(pixels, (gap, gap, gap, gap), value=128)
    canvas = np.full((rows * pixels.shape[2], columns * pixels.shape[3], channels), 128, np.uint8)
    for i, tile in enumerate(pixels.permute(0, 2, 3, 1).numpy()):
        y, x = divmod(i, columns)
        h, w = tile.shape[:2]
        canvas[y * h : (y + 1) * h, x * w : (x + 1) * w] = tile
    return Image.fromarray(canvas[..., 0] if channels == 1 else canvas[..., :3])
