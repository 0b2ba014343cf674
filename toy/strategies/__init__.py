"""Everything that Hypothesis draws from: frozen cases, and strategies for them.

Imports ``toy.mixtures`` and ``toy.numerics``.
"""
