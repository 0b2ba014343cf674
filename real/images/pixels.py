"""From decoded pictures and arrays of pixels to what a network takes."""

import io
import threading
import warnings
from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from theory.support.errors import InputError, refusing

MODES = {1: "L", 3: "RGB"}
EIGHT_BIT = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
SIXTEEN_BIT = {"I;16", "I;16L", "I;16B", "I;16N"}
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
MOST_PIXELS = 2**25
"""Of a picture; decoded, and with its transparency taken off, it takes some ten bytes for each."""

PICTURE_BYTES = 2**26
"""The most bytes of a file of one picture."""

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
"""Other formats, whatever a file is called, can have a reader that starts other programs."""


class _Quiet:
    """No warnings while any thread reads a picture: Python keeps one list of filters for all threads."""

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._caught.__exit__(None, None, None)


_QUIET = _Quiet()


def require_channels(shape: tuple[int, ...]) -> None:
    """Refuse a network that takes neither grey nor colour images.

    Raises:
        InputError: the network takes images of another number of channels.
    """
    if len(shape) != 3 or shape[0] not in MODES:
        raise InputError(
            f"data: pictures are (1, height, width) or (3, height, width), the network takes {shape}"
        )


def read_picture(content: bytes, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The picture in a file, fitted to (c, h, w), as uint8 (h, w, c).

    Raises:
        InputError: no picture, a broken one, or one far too large to be real.
    """
    with (
        refusing(f"data: {name} cannot be read as an image"),
        _QUIET,
        Image.open(io.BytesIO(content), formats=FORMATS) as picture,
    ):
        if picture.width * picture.height > MOST_PIXELS:
            raise InputError(f"data: {name} has too many pixels: expected at most {MOST_PIXELS:,}")
        return fitted(picture, shape)


def fitted(picture: Image.Image, shape: tuple[int, ...]) -> np.ndarray:
    """A picture as uint8 (h, w, c): grey or colour, its central part, resized (see ``real.images``).

    It is turned as its camera says (EXIF). What is transparent lies on white. Grey of 16 bits is taken
    to 8. The filter is Lanczos', widened when shrinking, as in EDM's ``dataset_tool``.

    Raises:
        InputError: another mode, such as 32 bits.
    """
    channels, height, width = shape
    picture = _on_white(_in_eight_bits(ImageOps.exif_transpose(picture))).convert(MODES[channels])
    if picture.size != (width, height):
        box = _central_part(picture.size, (width, height))
        picture = picture.resize((width, height), Image.Resampling.LANCZOS, box=box)
    return np.asarray(picture).reshape(height, width, channels)


def _in_eight_bits(picture: Image.Image) -> Image.Image:
    if picture.mode in SIXTEEN_BIT:
        return Image.fromarray(
            (np.asarray(picture).astype(np.uint16) / 257).round().astype(np.uint8)
        )
    if picture.mode not in EIGHT_BIT:
        raise InputError(
            f"data: expected pictures of 8 or 16 bits per channel, got mode {picture.mode}"
        )
    return picture


def _on_white(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)


def _central_part(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int, int, int]:
    scale = min(size[0] / wanted[0], size[1] / wanted[1])
    width, height = round(wanted[0] * scale), round(wanted[1] * scale)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return left, top, left + width, top + height


def fitted_array(pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Pictures uint8 (b, h, w, c) of any size, 1 or 3 channels, fitted to (c, h, w), as (b, h, w, c)."""
    channels, height, width = shape
    if pixels.shape[1:] == (height, width, channels):
        return pixels
    pictures = (Image.fromarray(p[..., 0] if p.shape[-1] == 1 else p) for p in pixels)
    return np.stack([fitted(picture, shape) for picture in pictures])


def stacked(pictures: Iterable[np.ndarray]) -> Tensor:
    """Pictures uint8 (h, w, c) of one size as float32 (b, c, h, w) in [-1, 1]."""
    return scaled(np.stack(list(pictures)))


def scaled(pixels: np.ndarray) -> Tensor:
    """Pixels uint8 (b, h, w, c) as float32 (b, c, h, w) in [-1, 1]."""
    return torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2).contiguous()
