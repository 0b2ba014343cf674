"""The old path of ``real.restored``."""

from real.compress.repaired_folder import restored

__all__ = ["restored"]
