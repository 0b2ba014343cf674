"""Gaussian mixtures and their diffusions, exactly; models with planted errors.

Imports ``theory`` only.
"""
