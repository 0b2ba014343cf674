"""Bounds of the martingales: concentration, Gaussian tails, optional stopping, tilting.

Imports ``theory.support`` and ``theory.diffusion``.
"""
