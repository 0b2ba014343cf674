"""Calibration: estimate eta_t once per time, subtract it for ever.

Along the exact reverse process alpha_t times the score is a martingale, so its mean is zero at
every time. For any model, E|s_theta - eta - score|^2 = E|s_theta - score|^2 - 2 eta.E[s_theta] +
|eta|^2, least at eta_t = E[s_theta] (Pang et al. 2023, section 3). In terms of what the network
predicts, y = A_t x_0 + B_t e:

    calibrated prediction = y_theta - eta_t,    eta_t = E[y_theta] - A_t E[x_0].

An estimate of eta_t carries noise, and applying noise does harm; what is subtracted is therefore
the estimate times a weight between 0 and 1 (``theory.statistics.shrinkage``), and nothing where a
gain is not certain (``theory.estimators.shift_selection``). Order 1 subtracts in addition what of
the residual x_t and y_theta explain (``theory.estimators.affine_fit``).
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.calibration.passes import Measured, Sequential, Setup, over_all
from theory.calibration.result import Calibrated, Calibration
from theory.diffusion.likelihood_bound import gain_weights
from theory.diffusion.schedules import Schedule, Times
from theory.diffusion.targets import NOISE, Target
from theory.estimators.affine_fit import first_order
from theory.estimators.class_shift import class_shift
from theory.estimators.control_variates import REGRESSION, Estimator
from theory.estimators.reverse_variance import noise_energies
from theory.estimators.shift_selection import decide
from theory.forward.forward_pass import Predict, require_key
from theory.forward.images import DEFAULT_BATCH, Conditions, Images
from theory.forward.survey import survey
from theory.statistics.lower_bounds import lower_bounds
from theory.statistics.neyman_allocation import Goal
from theory.statistics.shrinkage import CERTIFIED, Policy
from theory.support.errors import InputError

ORDERS = (0, 1)

__all__ = ["Calibrated", "Calibration", "calibrate", "conclude", "prepare"]


def calibrate(
    predict: Predict,
    schedule: Schedule,
    *,
    target: Target = NOISE,
    images: Images,
    times: Times,
    conditions: Conditions | None = None,
    estimator: Estimator = REGRESSION,
    goal: Goal | None = None,
    policy: Policy = CERTIFIED,
    order: int = 0,
    classes: int | None = None,
    reference: Predict | None = None,
    importance: Float64[Tensor, "time"] | None = None,
    seed: int = 0,
    draws: int = 1,
    batch_size: int = DEFAULT_BATCH,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
    **provenance: Any,
) -> Calibration:
    """Estimate eta_t = E[y_theta(x_t, t)] - A_t E[x_0] at each time.

    Args:
        predict: predict(x_t, t, condition=None) -> y, for x_t (b, *shape) and t (b,).
        schedule: its times are those of the network.
        target: what the network predicts.
        images: (n, *shape) floating point, or a re-iterable of such batches; n at least 2.
        times: distinct times of the schedule.
        conditions: one for each image, such as labels (n,) or n texts; the network is then called
            with them, and the shift is that of the joint law of images and conditions.
        estimator: what is averaged, over all images, ``draws`` noise draws each.
        goal: in place of that, when to stop; estimator, images and draws are then chosen per time.
        policy: how much of the estimate is applied; the default shrinks it, and applies nothing
            at a time whose gain is not certain.
        order: 0 subtracts a constant; 1 also what is affine in x_t and the prediction.
        classes: how many classes the conditions label, for a shift of each, pooled toward the
            shared one; default: one for all.
        reference: a network of the same target to be repaired toward, such as the one that was
            quantized: its prediction takes the place of the known target.
        importance: what a unit of gain at each time is worth, (T,), such as ``solver_weights``;
            evaluations are spent and smoothing is chosen for it. Default: the likelihood bound.
        seed, draws: key of the noise, and noise draws per image and time. The unit is the image.
        batch_size: of the network's calls when ``images`` is a tensor; never changes the result.
        device: where the network runs (default: where the images are).
        on_progress: told the number of network evaluations after each call.
        provenance: anything else worth keeping with the result.

    Raises:
        InputError: times outside the schedule, fewer than two images, images that are not finite
            floating point of one shape, another number of conditions, a prediction of another
            shape or not finite.
    """
    setup = prepare(
        predict, schedule, target, images, times, seed=seed, conditions=conditions, draws=draws,
        batch_size=batch_size, device=device, on_progress=on_progress, importance=importance,
        order=order, classes=classes, reference=reference,
    )  # fmt: skip
    measured = over_all(setup, estimator, draws) if goal is None else Sequential(setup, goal).run()
    return conclude(setup, measured, policy, **provenance)


def prepare(
    predict: Predict, schedule: Schedule, target: Target, images: Images, times: Times, *,
    seed: int, conditions: Conditions | None = None, draws: int = 1,
    batch_size: int = DEFAULT_BATCH, device: Any = None,
    on_progress: Callable[[int], None] | None = None,
    importance: Float64[Tensor, "time"] | None = None, order: int = 0,
    classes: int | None = None, reference: Predict | None = None,
) -> Setup:  # fmt: skip
    """Check everything and look at the images once, before the network is run."""
    times = schedule.times(times)
    require_key(seed, draws)
    if importance is None:
        importance = _nats(schedule, target, times)
    _require_importance(importance, times)
    if order not in ORDERS:
        raise InputError(f"order: expected 0 or 1, got {order}")
    if classes is not None and (classes < 1 or conditions is None):
        raise InputError(
            f"classes: expected a positive number of them and a label for each image, got {classes}"
            + ("" if conditions is not None else " and no labels")
        )
    return Setup(
        predict, schedule, target, images, survey(images, batch_size, conditions), times, seed,
        batch_size, importance, order, classes, device, on_progress, conditions, reference,
    )  # fmt: skip


def _nats(schedule: Schedule, target: Target, times: Tensor) -> Tensor:
    """What a unit of gain at each time takes off the likelihood bound; ones for a single time."""
    weights = gain_weights(schedule, target, times)
    return weights if weights.sum() > 0 else torch.ones_like(weights)


def _require_importance(importance: Tensor, times: Tensor) -> None:
    fits = importance.shape == times.shape and bool((importance >= 0).all())
    if not fits or not 0 < importance.sum().item() < math.inf:
        raise InputError(
            f"importance: expected {len(times)} numbers, none negative and not all zero, "
            f"got {importance.tolist()}"
        )


def conclude(setup: Setup, measured: Measured, policy: Policy, **provenance: Any) -> Calibration:
    """The calibration that follows from the moments."""
    moments, times = measured.moments, setup.times
    log_snr = setup.schedule.log_snr(times)
    statements = len(times) * (1 + setup.order + bool(setup.classes)) + 1
    decision = decide(moments, log_snr, setup.importance, policy, statements)
    gains, slopes, energies, of_classes = decision.gains, None, None, None
    if measured.affine:
        centres = _centres(setup, measured)
        found = first_order(measured.affine, centres, log_snr, policy, statements)
        gains, slopes = gains + found.gains, found.slopes
        energies = noise_energies(
            setup.schedule, setup.target, times, measured.affine, centres, decision.shift, slopes
        )
    if measured.by_class:
        of_classes, more = class_shift(
            measured.by_class, measured.noise_slopes, decision.shift, policy, statements
        )
        gains = gains + more
    total = lower_bounds((gains @ setup.importance)[:, None], statements).item()
    made = {
        "images": setup.survey.count, "seed": setup.seed, "evaluations": measured.evaluations,
        "order": setup.order,
    }  # fmt: skip
    return Calibration(
        schedule=setup.schedule,
        target=setup.target,
        times=times,
        shift=decision.shift,
        weights=decision.weights,
        gains=decision.gains.mean(0),
        certificates=decision.certificates,
        total_certificate=total,
        smoothing=decision.smoothing,
        bands=decision.bands,
        slopes=slopes,
        class_shift=of_classes,
        noise_energy=energies,
        eta_sq=tuple(m.squared_norm() for m in moments),
        eta_sq_of_set=tuple(m.squared_norm_of_set() for m in moments),
        error_energy=torch.tensor([m.error_energy() for m in moments], dtype=torch.float64),
        plain_error_energy=torch.tensor(measured.plain_error_energy, dtype=torch.float64),
        choices=tuple(measured.choices),
        image_ids=setup.survey.ids,
        provenance=made | provenance,
    )


def _centres(setup: Setup, measured: Measured) -> Float64[Tensor, "time 3 d"]:
    """Means of x_t, y_theta and the residual, by what is known of them beside their own average."""
    mean_image = setup.survey.mean_image.mean.flatten()
    alphas = setup.schedule.alpha(setup.times)
    a, _ = setup.target.coefficients(setup.schedule, setup.times)
    rows = [
        torch.stack([alpha * mean_image, a_t * mean_image + sums.mean_error(), m.mean.flatten()])
        for alpha, a_t, sums, m in zip(alphas, a, measured.affine, measured.moments, strict=True)
    ]
    return torch.stack(rows)
