"""Train the networks that ship: noise prediction, from a seed, on the user's images or the digits."""

from real.training.classes import ASSIGNMENTS, Assignment, train_classes
from real.training.digits import train_digits
from real.training.recipe import Recipe

__all__ = ["ASSIGNMENTS", "Assignment", "Recipe", "train_classes", "train_digits"]
