"""The claims with their mutants, a module per subject; the table of all of them.

Imports the rooms below: mixtures, numerics, strategies, judge.
"""
