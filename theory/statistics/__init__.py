"""Moments, intervals, lower confidence bounds, shrinkage, smoothing, Neyman allocation, image bases.

Imports ``theory.support`` only.
"""
