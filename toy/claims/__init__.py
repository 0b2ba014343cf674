"""The claims with their mutants, a module for each subject, and the table of all of them.

Imports the rooms below: mixtures, numerics, strategies, judge.
"""
