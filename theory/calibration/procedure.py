"""Calibration: estimate eta_t once per time, subtract it for ever.

Along the exact reverse process alpha_t times the score is a martingale, so its mean is zero at
every time. For any model, E|s_theta - eta - score|^2 = E|s_theta - score|^2 - 2 eta.E[s_theta] +
|eta|^2, least at eta_t = E[s_theta] (Pang et al. 2023, section 3). In terms of what the network
predicts, y = A_t x_0 + B_t e:

    calibrated prediction = y_theta - eta_t,    eta_t = E[y_theta] - A_t E[x_0].

An estimate of eta_t carries noise, and applying noise does harm; what is subtracted is therefore
the estimate times a weight between 0 and 1 (``theory.statistics.shrinkage``), and nothing where a
gain is not certain (``theory.estimators.shift_selection``). Order 1 subtracts in addition what of
the residual x_t and y_theta explain (``theory.estimators.slope_fit``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.calibration.alternatives import better_alternatives
from theory.calibration.arguments import as_device, as_provenance, as_schedule_times, as_target
from theory.calibration.passes import PURPOSE, PassResult, Problem, full_pass, pose
from theory.calibration.progress import Progress
from theory.calibration.result import Calibration
from theory.calibration.sequential import sequential_pass
from theory.diffusion.schedules import Schedule, Times
from theory.diffusion.targets import NOISE, Target
from theory.estimators.class_shift import ClassShiftEstimator
from theory.estimators.constant_shift import ShiftEstimator
from theory.estimators.control_variates import REGRESSION, Estimator
from theory.estimators.parts import Part, PartEstimator, Rules
from theory.estimators.slope_fit import SlopesEstimator
from theory.forward.images import DEFAULT_BATCH, Conditions, Images, ImageSet
from theory.forward.keyed_noise import Draws
from theory.forward.network import Network, Predict
from theory.statistics.lower_bounds import lower_bounds
from theory.statistics.neyman_allocation import Goal
from theory.statistics.shrinkage import CERTIFIED, Policy
from theory.support.checks import require_at_least, require_kind
from theory.support.errors import InputError

ORDERS = (0, 1)


def calibrate(
    predict: Predict,
    schedule: Schedule,
    *,
    target: Target | str = NOISE,
    images: Images,
    times: Times | int,
    conditions: Conditions | None = None,
    groups: Sequence[Any] | Tensor | None = None,
    estimator: Estimator = REGRESSION,
    goal: Goal | None = None,
    policy: Policy = CERTIFIED,
    order: int = 1,
    classes: int | None = None,
    reference: Predict | None = None,
    importance: Float64[Tensor, "time"] | None = None,
    seed: int = 0,
    draws: int = 1,
    batch_size: int = DEFAULT_BATCH,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
    progress: Progress | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Calibration:
    """Estimate eta_t = E[y_theta(x_t, t)] - A_t E[x_0] at each time.

    Args:
        predict: predict(x_t, t, condition=None) -> y, for x_t (b, *shape) and t (b,).
        schedule: its times are those of the network.
        target: what the network predicts, or its name.
        images: (n, *shape) floating point, or a re-iterable of such batches; n at least 2.
        times: distinct times of the schedule, or how many, spread evenly in log-SNR; of a table
            these may be fewer, as several may fall on the same step.
        conditions: one for each image, such as labels (n,) or n texts; the network is then called
            with them, and the shift is that of the joint law of images and conditions.
        groups: one value for each image, such as its video or patient: images of one value are not
            independent of each other. Copies and mirror images are found without.
        estimator: what is averaged, over all images, ``draws`` noise draws each.
        goal: in place of that, when to stop; estimator, images and draws are then chosen per time.
        policy: how much of the estimate is applied; the default shrinks it, and applies nothing
            at a time whose gain is not certain.
        order: 1 subtracts what is affine in x_t and the prediction; 0 a constant alone. Both are certified
            to lower the loss. Samples are another matter: a constant is right under q_t, and where a
            sampler starts elsewhere it can move samples the wrong way, the more the fewer the steps.
        classes: how many classes the conditions label, for a shift of each, pooled toward the
            shared one; default: one for all.
        reference: a network of the same target to be repaired toward, such as the one that was
            quantized: its prediction takes the place of the known target.
        importance: what a unit of gain at each time is worth, (T,), such as ``solver_weights``;
            evaluations are spent and smoothing is chosen for it. Default: the likelihood bound.
        seed, draws: key of the noise, and noise draws per image and time. The unit is the image.
        batch_size: of the network's calls when ``images`` is a tensor; never changes the result.
        device: where the network runs (default: where the images are).
        on_progress: called with the number of network evaluations after each call.
        progress: where to go on if a run was killed, and with which other processes (default: none).
        provenance: anything else worth keeping with the result.

    Raises:
        InputError: an argument of another kind or outside its range; times outside the schedule,
            fewer than two images, images that are not finite floating point of one shape, another
            number of conditions; a prediction of another shape, or one that is not finite.
    """
    network = Network(predict, schedule, as_target(target), reference)
    noise, provenance = Draws(seed, PURPOSE, draws), as_provenance(provenance)
    for what, value, kind in (("estimator", estimator, Estimator), ("policy", policy, Policy)):
        require_kind(what, value, kind)
    if goal is not None:
        require_kind("goal", goal, Goal)
    problem = pose(
        network, ImageSet(images, conditions, batch_size, groups), as_schedule_times(schedule, times),
        parts_of(order, classes, conditions), seed=noise.seed, importance=importance,
        device=as_device(device), on_progress=on_progress, progress=progress,
    )  # fmt: skip
    doubts, spent = _doubts(problem, None if goal is None else goal.evaluations)
    if goal is None:
        passed = full_pass(problem, estimator, noise.count)
    else:
        passed = sequential_pass(problem, goal.less(spent))
    passed = replace(passed, doubts=doubts, evaluations=passed.evaluations + spent)
    return conclude(problem, passed, policy, provenance)


def _doubts(problem: Problem, budget: int | None) -> tuple[tuple[str, ...], int]:
    """As ``better_alternatives``, once in a run."""

    def compute(_: Progress) -> dict[str, Any]:
        """The doubts and the evaluations that they took."""
        doubts, spent = better_alternatives(problem, budget)
        return {"doubts": doubts, "spent": spent}

    found = problem.progress.once("alternatives", compute)
    return tuple(found["doubts"]), found["spent"]


def parts_of(
    order: int = 1, classes: int | None = None, conditions: Conditions | None = None
) -> tuple[PartEstimator, ...]:
    """What is subtracted in a calibration of this order, for so many classes.

    Raises:
        InputError: another order than 0 or 1, or classes without a label for each image.
    """
    if isinstance(order, bool) or order not in ORDERS:
        raise InputError(f"order: expected 0 or 1, got {order!r:.60}")
    if classes is not None:
        require_at_least("classes", classes, 1)
        if conditions is None:
            raise InputError("classes: expected a label for each image, got no conditions")
    parts: list[PartEstimator] = [ShiftEstimator()]
    parts += [SlopesEstimator()] if order else []
    parts += [ClassShiftEstimator(int(classes))] if classes else []
    return tuple(parts)


def conclude(
    problem: Problem,
    passed: PassResult,
    policy: Policy,
    provenance: Mapping[str, Any] | None = None,
) -> Calibration:
    """The calibration that follows from a pass: fit each part, and bound the gain of all together.

    Args:
        problem: what is calibrated; its parts are those that are fitted.
        passed: the result of a pass.
        policy: how much of an estimate is applied.
        provenance: anything else worth keeping with the result.
    """
    times, moments = problem.times, passed.measured.moments
    rules = Rules(policy, len(times) * len(problem.parts) + 1, problem.importance)
    parts: list[Part] = []
    total = torch.zeros((), dtype=torch.float64)
    for estimator in problem.parts:
        sums = passed.sums.get(estimator, [])
        part, gains = estimator.fit(passed.measured, sums, rules, parts)
        parts.append(part)
        total = total + gains
    bound = lower_bounds((total @ problem.importance)[:, None], rules.statements).item()
    made = {
        "images": problem.survey.count, "seed": problem.seed, "evaluations": passed.evaluations,
        "order": int(SlopesEstimator() in problem.parts),
    }  # fmt: skip
    if problem.survey.clustered:
        made["independent"] = problem.survey.effective
    return Calibration(
        schedule=problem.network.schedule,
        target=problem.network.target,
        times=times,
        parts=tuple(parts),
        total_certificate=bound,
        eta_sq=tuple(m.squared_norm() for m in moments),
        eta_sq_of_set=tuple(m.squared_norm_of_set() for m in moments),
        error_energy=torch.tensor([m.error_energy() for m in moments], dtype=torch.float64),
        plain_error_energy=torch.tensor(passed.plain_error_energy, dtype=torch.float64),
        choices=passed.choices,
        line_check=passed.line_check,
        doubts=passed.doubts,
        mean_image=problem.survey.mean_image.mean,
        image_ids=problem.survey.ids.sort().values,
        provenance=made | dict(provenance or {}),
    )
