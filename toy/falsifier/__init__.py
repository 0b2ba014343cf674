"""A user's own schedule or model, held against the claims that make sense for it.

Imports ``toy.claims`` and what lies below.
"""
