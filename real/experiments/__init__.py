"""Studies, their baselines and their reports; the recipes of the shipped networks.

Imports every room below; imported by commands only.
"""
