"""What a claim is, and how it and its mutants are judged.

Imports ``toy.numerics``.
"""
