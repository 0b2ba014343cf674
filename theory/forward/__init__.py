"""Images in batches, keyed noise, and the forward pass of a network over noised images.

Imports ``theory.support``, ``theory.statistics`` and ``theory.diffusion``.
"""
