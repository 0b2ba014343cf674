"""Networks whose weights were rounded or pruned: how it is done, and how they are stored.

Imports ``real.files`` and ``real.families``.
"""

from real.compress.formats import FORMATS
from real.compress.quantize import Damage

__all__ = ["FORMATS", "Damage"]
