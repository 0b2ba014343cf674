"""The forward and reverse processes: schedules, prediction targets, likelihoods, Euler-Maruyama.

Imports ``theory.support`` and ``theory.statistics``.
"""
