"""Calibrating, validating and repairing a checkpoint; a calibration inside a diffusers pipeline.

Imports checkpoints, compress, running, images and solvers.
"""
