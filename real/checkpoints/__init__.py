"""Load a pretrained network of any family as a ``Checkpoint``.

Imports ``real.files``, ``real.families`` and ``real.compress``; this file is its face.
"""

from real.checkpoints.loading import EMBEDDED, FAMILIES, load, load_named_by
from real.families.checkpoint import Checkpoint

__all__ = ["EMBEDDED", "FAMILIES", "Checkpoint", "load", "load_named_by"]
