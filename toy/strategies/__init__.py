"""Everything that Hypothesis draws from: cases as frozen dataclasses of numbers, and their strategies.

Imports ``toy.mixtures`` and ``toy.numerics``.
"""
