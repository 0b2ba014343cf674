"""Where images come from. Every source gives float32 batches (b, c, h, w) in [-1, 1], and labels.

Only a file of latents gives what a network on latents takes, in any range.

Images that are not of the network's size are cut to the largest central part of its proportions
and resized with an antialiasing filter; colour is turned into grey, or grey into colour, as the
network takes it. Images that fit already are not touched.
"""

from real.images.base import ImageSource, Labels, Role
from real.images.digits import DIGITS, DIGITS_SPLIT, DIGITS_SPLIT_SEED, digits
from real.images.latents import LATENTS, latents_of, require_codec, save_latents
from real.images.opening import open_images

__all__ = [
    "DIGITS",
    "DIGITS_SPLIT",
    "DIGITS_SPLIT_SEED",
    "LATENTS",
    "ImageSource",
    "Labels",
    "Role",
    "digits",
    "latents_of",
    "open_images",
    "require_codec",
    "save_latents",
]
