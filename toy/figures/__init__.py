"""The theory figures: a module per family computes its data and draws them on axes that it is given.

Imports ``toy.claims`` and what lies below; ``gallery`` alone imports matplotlib.
"""
