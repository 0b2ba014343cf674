"""Quadrature that reports its own error, and decimal arithmetic to judge it.

Imports ``toy.mixtures``.
"""
