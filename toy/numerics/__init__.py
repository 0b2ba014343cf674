"""Quadrature that reports its own error, extrapolation, and decimal arithmetic as a reference.

Imports ``toy.mixtures``.
"""
