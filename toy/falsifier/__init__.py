"""A user's own schedule or model, tried on the claims that apply to it.

Imports ``toy.claims`` and what lies below.
"""
