"""How far the martingales stray: concentration, Gaussian tails, optional stopping, tilting.

Imports ``theory.support`` and ``theory.diffusion``.
"""
