"""Networks whose weights were rounded or pruned: how it is done, kept and loaded again."""

from real.compress.formats import FORMATS
from real.compress.quantize import Damage, damaged

__all__ = ["FORMATS", "Damage", "damaged"]
