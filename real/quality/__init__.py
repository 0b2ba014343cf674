"""How good samples are: Frechet and kernel distances to real images, and the tint of the mean.

FID is the Frechet distance between Inception's features and nothing else bears that name.

Imports images and solvers.
"""
