"""With 100 images the certified calibration harms nothing, over 20 seeds; the plain average does."""

from dataclasses import replace

import pytest
import torch
from scipy.stats import binom

from real.images.digits import digits
from theory.calibration.held_out import PURPOSE
from theory.calibration.passes import full_pass, pose
from theory.calibration.procedure import conclude, parts_of
from theory.diffusion.likelihood_bound import gain_weights
from theory.estimators.control_variates import PLAIN, REGRESSION
from theory.forward.forward_pass import observe
from theory.forward.images import ImageSet
from theory.forward.keyed_noise import Draws
from theory.statistics.intervals import LEVEL, Estimate
from theory.statistics.shrinkage import CERTIFIED, UNSHRUNK

IMAGES, SEEDS, TIMES, DRAWS = 100, 20, 8, 4


@pytest.fixture(scope="module")
def held_out(digits_checkpoint):
    """Mean residual of every held-out image, and what a gain at each time is worth in nats."""
    c = digits_checkpoint
    times = c.schedule.grid(TIMES)
    residuals = [None] * TIMES
    images = ImageSet(digits("held-out"), batch_size=400)
    for seen in observe(c.network, images, times, Draws(0, PURPOSE, DRAWS)):
        residuals[seen.time_index] = seen.residual.mean(0).flatten(1)
    return torch.stack(residuals, 1), gain_weights(c.schedule, c.target, times)


def remembering(predict):
    """The network, called once for the same input: both estimators see the same noised images."""
    known = {}

    def call(x_t, t):
        key = x_t.numpy().tobytes() + t.numpy().tobytes()
        if key not in known:
            known[key] = predict(x_t, t)
        return known[key]

    return call


@pytest.fixture(scope="module")
def gains(digits_checkpoint, held_out):
    c, (residuals, weights) = digits_checkpoint, held_out
    images, found = digits("calibration"), {"certified": [], "published": []}
    for seed in range(SEEDS):
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        problem = pose(
            replace(c.network, predict=remembering(c.predict)), ImageSet(images[order[:IMAGES]]),
            c.schedule.grid(TIMES), parts_of(0), seed=seed,
        )  # fmt: skip
        for name, estimator, policy in (
            ("certified", REGRESSION, CERTIFIED), ("published", PLAIN, UNSHRUNK),
        ):  # fmt: skip
            passed = full_pass(problem, estimator, 1)
            shift = conclude(problem, passed, policy).shift.flatten(1)
            per_image = (2 * residuals * shift - shift**2).sum(2) @ weights
            found[name].append(Estimate.of_mean(per_image))
    return found


def test_the_certified_calibration_harms_no_more_often_than_it_says(gains):
    harmed = sum(gain.upper < 0 for gain in gains["certified"])
    assert harmed <= binom.isf(0.01, SEEDS, 1 - LEVEL)


def test_the_plain_average_harms_every_time(gains):
    assert all(gain.upper < 0 for gain in gains["published"])
    assert max(gain.value for gain in gains["published"]) < -0.1
    assert min(gain.value for gain in gains["certified"]) > -0.01
