"""Architectures that no maintained library offers, for inference only.

Names of parameters and buffers are those of the published code, so that its weights fit strictly.
Parameters are left unset: they come from a file (``real.networks.weights``).
"""
