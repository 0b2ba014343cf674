"""Exact Gaussian-mixture diffusion models, against which every statement is tried."""
