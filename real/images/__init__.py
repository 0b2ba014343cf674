"""Where images come from. Every source gives float32 batches (b, c, h, w) in [-1, 1], and labels.

Only a file of latents gives what a network on latents takes, in any range.

Images that are not of the network's size are cut to the largest central part of its proportions
and resized with an antialiasing filter; colour is turned into grey, or grey into colour, as the
network takes it. Images that fit already are not touched.

Imports ``real.families`` (for the codec of a network on latents) and ``theory``.
"""
