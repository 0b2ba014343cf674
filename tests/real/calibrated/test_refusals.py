"""What a refusal says: what was expected and what came, in full."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from real.calibrated.comparison import require_comparable
from real.calibrated.conditions import of_images, of_samples
from real.calibrated.drop_in import _loaded, from_pretrained, network_of
from real.calibrated.fitted_scheduler import fitted_scheduler
from real.calibrated.fitted_solvers import require_fitted_to, unfitted_solver
from real.calibrated.guidance import Guided
from real.images.base import ImageSource
from tests.real.exact import exact_checkpoint
from tests.refusals import exact_refusal

PLAIN = exact_checkpoint("table")
CLASSES = replace(PLAIN, reference="net", conditions=3)
TEXTS = replace(CLASSES, conditions="text")
IMAGES = ImageSource.of("some", torch.zeros(2, 2, 1, 1))
LABELLED = replace(IMAGES, labels=torch.tensor([4, 1]))
SOLVER = unfitted_solver(PLAIN, "ddim", 3)
STEP = fitted_scheduler(SOLVER).step
X = torch.zeros(1, 2, 1, 1)
NEEDS = (
    "data: the network takes {}, some has none (add {} in metadata.jsonl or metadata.csv; --condition null "
    "calibrates its branch without condition)"
)
COMPARED = "compare: expected two networks of one "


def compared(**other):
    return partial(
        require_comparable, CLASSES, replace(PLAIN, **other), torch.tensor([1, 9]), "joint"
    )


REFUSALS = {
    "condition: table is unconditional, got 'a'": partial(of_samples, PLAIN, 2, "a"),
    "condition: expected a class from 0 to 2, got '3'": partial(of_samples, CLASSES, 2, "3"),
    "condition: table is unconditional, it has no null condition":
        partial(of_images, PLAIN, IMAGES, "null"),
    "condition: net knows no condition that stands for none": partial(of_images, CLASSES, IMAGES, "null"),
    NEEDS.format("class labels", "a subfolder for each class, or a field label"):
        partial(of_images, CLASSES, IMAGES, "joint"),
    NEEDS.format("texts", "a field text"): partial(of_images, TEXTS, IMAGES, "joint"),
    "data: the network knows classes 0 to 2, some has labels up to 4":
        partial(of_images, CLASSES, LABELLED, "joint"),
    f"{COMPARED}shape, net is of (2, 1, 1), table of (1, 8, 8)": compared(shape=(1, 8, 8)),
    f"{COMPARED}kind of conditions, net is of 3, table of 5": compared(conditions=5),
    "guidance: expected a finite scale, got inf":
        partial(Guided, CLASSES.predict, CLASSES.predict, 3, float("inf")),
    "fitted solver: made for table, whose weights are not those of ours":
        partial(require_fitted_to, SOLVER, "other", "ours"),
    "fitted solver: expected num_inference_steps=3, as it was fitted, got 7":
        partial(fitted_scheduler(SOLVER).set_timesteps, 7),
    "fitted solver: expected num_inference_steps=3, as it was fitted, got sigmas":
        partial(fitted_scheduler(SOLVER).set_timesteps, 3, sigmas=[1.0], timesteps=None),
    "fitted solver: expected the steps that it was fitted for, from the first, got one at 12.5; runs from an "
    "image are not among them": partial(STEP, X, 12.5, X),
    "drop-in: expected a pipeline with a unet or a transformer, got object": partial(network_of, object()),
    "drop-in: expected a calibration, or the path of one, got int": partial(_loaded, 3),
    "calibration: expected a folder or a Hub id with calibration/fine.safetensors, or the path of such a "
    "file, got 'a b'": partial(from_pretrained, "a b", "fine"),
}  # fmt: skip


@pytest.mark.parametrize("says", REFUSALS)
def test_a_refusal_says_what_was_expected_and_what_came(says):
    with exact_refusal(says):
        REFUSALS[says]()
