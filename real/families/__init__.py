"""Families of checkpoints: the loader of each beside the network that it loads.

Imports ``real.files``.
"""
