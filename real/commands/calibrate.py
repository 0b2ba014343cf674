"""Estimate a calibration and save it."""

import argparse
from typing import TYPE_CHECKING, Any

from real.commands import arguments as given
from real.commands import choices
from real.commands.choices import ESTIMATORS, PUBLISHED, SOLVERS
from theory.support.command_line import count
from theory.support.errors import InputError
from theory.support.output import keep, require_file

if TYPE_CHECKING:
    from torch import Tensor

    from real.families.checkpoint import Checkpoint

DEFAULT_TIMES = 50


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "calibrate",
        parents=[given.NETWORK, given.DATA, given.COMMON, given.ON_DEVICE, given.RUNNING, given.CONDITION],
        description="Estimate the mean error of a network's prediction at each time, and save it.",
        epilog="example: python -m real calibrate digits --data digits --out digits.safetensors",
    )  # fmt: skip
    option = command.add_argument
    given.add_stored(command)
    _add_times(command.add_mutually_exclusive_group())
    option(
        "--order", type=int, choices=[0, 1],
        help="1 subtracts what is affine in x_t and the prediction (default), 0 a constant alone: less to "
        "estimate, but what it certifies is the loss, and samples that start at plain noise can get "
        f"worse by it ({PUBLISHED} is of order 0)",
    )  # fmt: skip
    option(
        "--per-class", action="store_true",
        help="a shift for each class, pooled toward the shared one where images are few",
    )  # fmt: skip
    given.add_policy(command, PUBLISHED)
    option(
        "--estimator", choices=ESTIMATORS, metavar="NAME",
        help=f"what is averaged: {', '.join(ESTIMATORS)} (default); --policy {PUBLISHED} stands for "
        "--estimator plain --policy unshrunk",
    )  # fmt: skip
    option(
        "--certificate", choices=choices.CERTIFICATES, default="asymptotic",
        help="exact: calibrate on half of the images, and bound the gain on the other half by betting, "
        "at every n (asymptotic: Student's bound over groups of all of them)",
    )  # fmt: skip
    given.add_strict(command)
    option(
        "--budget", type=count, metavar="N",
        help="spend at most N network evaluations, at least 4 for each time, where they lower the "
        "error of the bound most",
    )  # fmt: skip
    option(
        "--precision", type=given.fraction, metavar="P",
        help="stop when the error of the shifts is P of their energy (e.g. 0.05)",
    )  # fmt: skip


def _add_times(where: Any) -> None:
    """Add the three ways to say at which times to calibrate."""
    where.add_argument(
        "--times", type=count, metavar="N",
        help=f"number of times, equally spaced in log-SNR ({DEFAULT_TIMES})",
    )  # fmt: skip
    where.add_argument(
        "--at", type=given.number_list, metavar="T,T,...", help="these times instead"
    )
    where.add_argument(
        "--for", type=_solver_and_nfe, dest="solver_and_nfe", metavar="SOLVER:NFE",
        help="the times of this solver instead, each worth what its step is (e.g. ddim:20)",
    )  # fmt: skip


def _solver_and_nfe(text: str) -> tuple[str, int]:
    """A solver's name and a number of network evaluations."""
    name, _, nfe = text.partition(":")
    if name not in SOLVERS or not nfe.isdecimal():
        raise argparse.ArgumentTypeError(
            f"expected SOLVER:NFE, with one of {', '.join(SOLVERS)}, got {text!r:.60}"
        )
    return name, count(nfe)


def run(options: argparse.Namespace) -> int:
    """Calibrate, save the calibration and say what was found."""
    require_file(options.out)
    estimator, policy = _estimator_and_policy(options)
    order = (0 if options.policy == PUBLISHED else 1) if options.order is None else options.order
    if options.budget or options.precision:
        given.refuse_unused(
            options, ["draws"], "neither --budget nor --precision, which choose them"
        )
    if options.budget and not options.solver_and_nfe:
        times = len(options.at or ()) or options.times or DEFAULT_TIMES
        if options.budget < choices.LEAST_BUDGET * times:
            raise InputError(
                f"budget: expected at least {choices.LEAST_BUDGET * times} evaluations for {times} times, "
                f"got {options.budget}"
            )
    if options.per_class and options.condition == "null":
        raise InputError("per-class: expected --condition joint, as null has no classes")
    if options.policy == PUBLISHED and options.order == 1:
        raise InputError(f"order: expected 0, of which --policy {PUBLISHED} is, got 1")
    if options.certificate == "exact" and (options.budget or options.precision):
        raise InputError(
            "certificate: expected no --budget or --precision beside exact, which measures all images"
        )
    given.require_inputs(options)
    from real.calibrated.calibrate import calibrate_checkpoint, calibration_summary
    from real.calibrated.conditions import of_images
    from real.commands import loading
    from real.running import going_on, require_memory
    from theory.calibration.memory_plan import plan_memory
    from theory.calibration.procedure import parts_of
    from theory.calibration.sequential import CANDIDATES
    from theory.diffusion.schedules import require_storable
    from theory.estimators.control_variates import NAMED, PLAIN
    from theory.statistics.neyman_allocation import Goal
    from theory.statistics.shrinkage import POLICIES
    from theory.support.torchrun import process_rank

    device = loading.on_device(options.device)
    checkpoint = loading.run_network(loading.NetworkRequest.of(options), device)
    require_storable(checkpoint.schedule)
    batch_size = loading.settled_batch_size(options.batch_size, checkpoint, device)
    images = loading.images_for(
        checkpoint, loading.ImageRequest.of(options), "calibration", device, batch_size
    )
    draws = options.draws * min(batch_size, len(images))
    require_memory("draws", draws, checkpoint.shape)
    conditions = of_images(checkpoint, images, options.condition)
    labels = checkpoint.conditions if isinstance(checkpoint.conditions, int) else None
    if options.per_class and labels is None:
        raise InputError(f"per-class: {checkpoint.reference} takes no class labels")
    classes = labels if options.per_class else None
    times, importance = _times(checkpoint, options)
    goal = Goal(options.budget, options.precision) if options.budget or options.precision else None
    plan = plan_memory(
        checkpoint.shape, len(times), parts_of(order, classes, conditions),
        CANDIDATES if goal else ((NAMED[estimator], options.draws), (PLAIN, 1)), device,
    )  # fmt: skip
    (plan.require_all_at_once if goal else plan.require_room)()
    if not plan.small and not goal and not process_rank():
        print(plan)
    solver = ":".join(map(str, options.solver_and_nfe)) if options.solver_and_nfe else None
    most = options.budget or len(images) * len(times) * (2 if goal else options.draws)
    with going_on(options.out, checkpoint, vars(options)) as progress:
        with given.counting(most, "calibrate", options.quiet) as on_progress:
            calibration = calibrate_checkpoint(
                checkpoint, images, times, seed=options.seed, draws=options.draws, goal=goal,
                estimator=NAMED[estimator], policy=POLICIES[policy], device=device,
                conditions=conditions, order=order, importance=importance,
                classes=classes,
                certificate=options.certificate, progress=progress, on_progress=on_progress,
                provenance={"condition": options.condition, "dtype": options.dtype, "solver": solver},
            )  # fmt: skip
        if not progress.is_first:
            return 0
        keep(options.out, calibration.save)
    print(options.out)
    print("\n".join(calibration_summary(calibration)))
    return int(options.strict and calibration.warning() is not None)


def _estimator_and_policy(options: argparse.Namespace) -> tuple[str, str]:
    """Their names. A budget or a precision chooses the estimator itself.

    Raises:
        InputError: an estimator beside a budget or a precision, or beside the published policy.
    """
    published = options.policy == PUBLISHED
    if (published or options.estimator) and (options.budget or options.precision):
        raise InputError("estimator: expected none beside --budget or --precision, which choose it")
    if published and options.estimator not in (None, "plain"):
        raise InputError(f"estimator: {PUBLISHED} stands for plain, got {options.estimator}")
    if published:
        return "plain", "unshrunk"
    return options.estimator or "regression", options.policy


def _times(
    checkpoint: "Checkpoint", options: argparse.Namespace
) -> tuple["Tensor", "Tensor | None"]:
    """The times, and what a gain at each is worth, where that is not its worth to the bound."""
    from real.commands.loading import spread_times
    from real.solvers.sampling import solver_times
    from theory.diffusion.likelihood_bound import solver_weights

    schedule = checkpoint.schedule
    if options.at:
        return schedule.times(options.at), None
    if not options.solver_and_nfe:
        return spread_times(schedule, options.times or DEFAULT_TIMES), None
    times = solver_times(checkpoint, *options.solver_and_nfe)
    return times, solver_weights(schedule, checkpoint.target, times)
