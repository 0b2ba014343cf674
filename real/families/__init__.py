"""Families of checkpoints, a folder for each: the network, and the loader of its files.

Imports ``real.files``.
"""
