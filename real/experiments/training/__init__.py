"""Train the networks that ship: noise prediction, from a seed, on the user's images or the digits."""

from real.experiments.training.classes import ASSIGNMENTS, Assignment, train_classes
from real.experiments.training.digits import train_digits
from real.experiments.training.examples import labelled
from real.experiments.training.recipe import TrainingRecipe

__all__ = [
    "ASSIGNMENTS",
    "Assignment",
    "TrainingRecipe",
    "labelled",
    "train_classes",
    "train_digits",
]
