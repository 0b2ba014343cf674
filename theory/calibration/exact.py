"""Calibration from half of the images, whose gain the other half bounds at every number of images.

The predictions of x_0 are clipped to the range of the data, before the correction and after it, and
the correction is held to a largest step per coordinate. The gain of one image beyond that of clipping
then has a bound that is known before the image is seen, and a lower bound by betting
(``theory.statistics.betting``) holds for every n. It assumes that the images are independent. As
clipping raises no error, the gain over the network as it is is no smaller.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from theory.calibration.arguments import as_device, as_importance, as_schedule_times, as_target
from theory.calibration.exact_certificate import ExactCertificate
from theory.calibration.held_out import PURPOSE, HeldOut, hold_out
from theory.calibration.passes import likelihood_worth, pass_name
from theory.calibration.procedure import calibrate
from theory.calibration.progress import Progress
from theory.calibration.result import Calibration
from theory.calibration.validation import CLIPPED, WHOLE
from theory.diffusion.data_range import DataRange, error_scale
from theory.diffusion.schedules import Schedule, Times
from theory.diffusion.targets import NOISE, Target
from theory.estimators.parts import Rules
from theory.forward.chosen import chosen_images
from theory.forward.forward_pass import observe
from theory.forward.halves import two_halves
from theory.forward.images import DEFAULT_BATCH, Conditions, Images, ImageSet
from theory.forward.keyed_noise import Draws
from theory.forward.network import Network, Predict, clipped
from theory.forward.survey import Survey, survey
from theory.statistics.betting import betting_lower_bounds
from theory.statistics.shrinkage import CERTIFIED, Policy
from theory.support.errors import InputError

PILOT = 32
"""Images, among those that make the correction, on which its largest step is measured."""


REFUSED = {
    "reference": "whose predictions have no bound",
    "goal": "as all images that judge are measured",
}
"""Options of ``calibrate`` that do not go with an exact certificate."""


def calibrate_exactly(
    predict: Predict,
    schedule: Schedule,
    *,
    data_range: DataRange,
    target: Target | str = NOISE,
    images: Images,
    times: Times | int,
    conditions: Conditions | None = None,
    groups: Sequence[Any] | Tensor | None = None,
    policy: Policy = CERTIFIED,
    importance: Float64[Tensor, "time"] | None = None,
    seed: int = 0,
    draws: int = 1,
    batch_size: int = DEFAULT_BATCH,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Calibration:
    """A calibration made from half of the images, with exact bounds of its gain from the others.

    Args:
        predict, schedule, target, times, importance, seed, draws: as for ``calibrate``.
        batch_size, device, on_progress, progress: as for ``calibrate``.
        data_range: what every number of every image lies between.
        images, conditions, groups: as for ``calibrate``; at least four different images.
        policy: as for ``calibrate``; the default applies nothing at a time whose gain either half of the
            images leaves in doubt, and the total is then the weighted sum of the bounds of the others.
        options: the other ones of ``calibrate``, without a reference or a goal.

    Raises:
        InputError: as ``calibrate``; images outside the range; a time at which a prediction tells
            nothing of x_0; a reference or a goal.
    """
    for name, why in REFUSED.items():
        if options.get(name) is not None:
            raise InputError(f"exact certificate: expected no {name}, {why}")
    network = Network(predict, schedule, as_target(target))
    times, noise = as_schedule_times(schedule, times), Draws(seed, PURPOSE, draws)
    error_scale(schedule, network.target, times)
    halves = _Halves.of(ImageSet(images, conditions, batch_size, groups), data_range, seed)
    inside = clipped(network, data_range)
    measured: dict[str, Any] = {"device": as_device(device), "on_progress": on_progress}
    made = calibrate(
        inside.predict, schedule, target=network.target, images=halves.makes.images, times=times,
        conditions=halves.makes.conditions, importance=importance, policy=policy, seed=seed,
        draws=draws, **measured, progress=progress, **options,
    )  # fmt: skip
    progress = (progress or Progress()).within(
        pass_name(conditions, halves.look, times, noise.seed, noise.count)
    )
    limits = progress.once(
        "limits", lambda _: {"limits": _limits(made, inside, halves.pilot, seed, measured)}
    )["limits"]
    exact = ExactCertificate.unjudged(data_range, limits)
    worth = (
        likelihood_worth(network, times)
        if importance is None
        else as_importance(importance, len(times))
    )
    rules = Rules(policy, len(times) + 1, worth)
    return _judged(made, exact, network, halves, rules, noise, measured | {"progress": progress})


@dataclass(frozen=True, eq=False)
class _Halves:
    """Images that make a correction, some of them, and independent ones that judge it.

    Attributes:
        look: at all images.
        makes, pilot, judges: the images.
        order: (n,), the place of each image that judges, in no order of the images.
    """

    look: Survey
    makes: ImageSet
    pilot: ImageSet
    judges: ImageSet
    order: Int64[Tensor, "judge"]

    @classmethod
    def of(cls, whole: ImageSet, data_range: DataRange, seed: int) -> "_Halves":
        """Both halves of the images, which keep to the range."""
        look = survey(whole)
        for batch in whole:
            data_range.require(batch.images)
        makes, judges = two_halves(look, seed)
        pilot = torch.zeros_like(makes)
        pilot[(by_rank := look.ranks.argsort())[makes[by_rank]][:PILOT]] = True
        of_makes, of_pilot, of_judges = (
            chosen_images(whole, look, chosen) for chosen in (makes, pilot, judges)
        )
        order = look.ranks[judges].argsort().argsort()
        return cls(look, of_makes, of_pilot, of_judges, order)


def _limits(
    made: Calibration, inside: Network, pilot: ImageSet, seed: int, measured: Mapping[str, Any]
) -> Float64[Tensor, "time *shape"]:
    """The largest |correction| of each coordinate on some images, at every time.

    Args:
        made: the correction.
        inside: the network, its predictions clipped.
        pilot: the images.
        seed, measured: of ``observe``.
    """
    limits = torch.zeros_like(made.shift)
    for seen in observe(inside, pilot, made.times, Draws(seed, "limits"), **measured):
        k, y = seen.time_index, seen.prediction[0]
        step = made.correction(seen.x_t[0], made.times[k][None], y, seen.conditions)
        limits[k] = torch.maximum(limits[k], step.expand_as(y).abs().amax(0).cpu())
    return limits


def _judged(
    made: Calibration,
    exact: ExactCertificate,
    network: Network,
    halves: _Halves,
    rules: Rules,
    draws: Draws,
    measured: Mapping[str, Any],
) -> Calibration:
    """The calibration with bounds of its gain on the images that judge.

    Args:
        made: the correction.
        exact: its range and limits.
        network: without clipping.
        halves: the images.
        rules: whether what is not certain is left alone, and what a gain is worth.
        draws: seed and number of noise draws.
        measured: further options of ``hold_out``.
    """
    held = replace(made, exact=exact)
    found = hold_out(
        network, {CLIPPED: held.clipping, WHOLE: held.correction}, halves.judges, made.times,
        seed=draws.seed, draws=draws.count, mean_image=made.mean_image, units=halves.order,
        **measured,
    )  # fmt: skip
    scale = error_scale(network.schedule, network.target, made.times)
    largest = exact.largest_gains(scale)
    gains = _without_rounding(found, largest)
    bounds = _bounds(gains[halves.order.argsort()], largest, rules, draws.seed)
    exact, total = replace(exact, bounds=bounds[:-1]), bounds[-1].item()
    if rules.policy.certified:
        exact = exact.where_certain()
        total = (exact.bounds @ rules.importance).item()
    of_time = min(PILOT, made.provenance["images"]) + draws.count * len(gains)
    evaluations = made.provenance["evaluations"] + len(made.times) * of_time
    return replace(
        made.with_provenance(evaluations=evaluations, images_judging=len(gains)),
        exact=exact,
        total_certificate=total,
        line_check=found.line_check,
        eta_sq=found.eta_sq,
        image_ids=halves.look.ids.sort().values,
    )


def _without_rounding(
    found: HeldOut, largest: Float64[Tensor, "time"]
) -> Float64[Tensor, "image time"]:
    """The gains beyond clipping, (n, T), which exceed the largest by rounding alone.

    Raises:
        InputError: they exceed it by more.
    """
    gains = found.gains[WHOLE] - found.gains[CLIPPED]
    if bool((gains.abs() > largest + 1e-9 * (largest + found.losses)).any()):
        raise InputError("exact certificate: a gain is larger than any can be")
    return gains.clamp(-largest, largest)


def _bounds(
    gains: Float64[Tensor, "image time"],
    largest: Float64[Tensor, "time"],
    rules: Rules,
    seed: int,
) -> Float64[Tensor, "statement"]:
    """Lower bounds of the gain at each time and, last, of the weighted sum.

    The images are bet on in an order drawn from the seed, as files are often sorted.

    Args:
        gains: of independent images, in no order of theirs.
        largest: what no image's |gain| exceeds.
        rules: weights of the sum, and how many bounds hold together.
        seed: of the order.
    """
    values = torch.cat([gains, (gains @ rules.importance)[:, None]], 1)
    ends = torch.cat([largest, (largest @ rules.importance)[None]])
    order = torch.randperm(len(values), generator=torch.Generator().manual_seed(seed))
    return betting_lower_bounds(values[order], -ends, ends, rules.statements, len(values))
