"""The former home of ``toy.Model`` and ``toy.Formula``."""

from toy.falsifier.user_models import Formula, Model

__all__ = ["Formula", "Model"]
