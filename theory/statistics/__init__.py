"""Moments, intervals, lower confidence bounds, ridge regression, shrinkage, Neyman allocation, bases.

Imports ``theory.support`` only.
"""
