"""Networks whose weights were rounded or pruned: how it is done, kept and loaded again."""

from real.damage.formats import FORMATS
from real.damage.networks import Damage, damaged

__all__ = ["FORMATS", "Damage", "damaged"]
