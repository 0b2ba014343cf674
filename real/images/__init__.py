"""Where images come from. Every source gives float32 batches (b, c, h, w) in [-1, 1], and labels.

Only a file of latents gives what a network on latents takes, in any range.

Images that are not of the network's size are cut to the largest central part of its proportions
and resized with an antialiasing filter; colour is turned into grey, or grey into colour, as the
network takes it. Images that fit already are not touched.

Imports ``real.families`` (for the codec of a network on latents) and ``theory``. This file is its
face; names are loaded when they are first asked for.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "DIGITS": "real.images.references",
    "DIGITS_SPLIT": "real.images.digits",
    "DIGITS_SPLIT_SEED": "real.images.digits",
    "LATENTS": "real.images.references",
    "ImageSource": "real.images.base",
    "Labels": "real.images.base",
    "Role": "real.images.base",
    "latents_of": "real.images.latents",
    "open_images": "real.images.opening",
    "require_codec": "real.images.latents",
    "save_latents": "real.images.latents",
}
"""The module that each public name lives in."""

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
