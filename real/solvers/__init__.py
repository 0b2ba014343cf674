"""Solvers of the reverse process, by name, and sampling with them. Their steps are diffusers'.

Imports ``real.families`` and ``theory``.
"""
