"""What is estimated from a forward pass: control variates, shifts, slopes, shifts of classes.

Imports the rooms below it: support, statistics, diffusion, forward.
"""
