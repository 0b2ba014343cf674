"""Gaussian mixtures and their diffusions, exactly; models with planted errors; exact reverse paths.

Imports ``theory`` only.
"""
