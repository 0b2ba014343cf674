"""The old path of ``real.calibrated.drop_in``."""

from real.calibrated.drop_in import attach, from_pretrained, save_pretrained

__all__ = ["attach", "from_pretrained", "save_pretrained"]
