"""How fast networks run on a device, bare and calibrated, plain, compiled and as CUDA graphs."""

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from real.calibrated.calibrate import calibrate_checkpoint
from real.calibrated.conditions import of_images, of_samples
from real.calibrated.fitted_solvers import fit_checkpoint_solver
from real.experiments.device_check.agreement import relative
from real.experiments.device_check.subjects import ROLES, Scale, images_of, subject, weights
from real.families.checkpoint import Checkpoint
from real.images.base import ImageSource
from real.running import bare_calls, best_batch_size, compiled, run_well, timed
from real.running.trial import any_condition, seconds_of
from real.solvers.base import Solver
from real.solvers.fitted import as_solver
from real.solvers.sampling import latents, sample
from theory.calibration import Calibrated, Calibration, validate
from theory.forward.network import Predict

CALLS = 10
HALF_FROM = 10_000_000
"""Networks of more weights are timed in bfloat16, as they are used."""


def speeds(name: str, device: torch.device, scale: Scale) -> dict[str, Any]:
    """What calibrations, validation and sampling cost over the bare network, and peak memory.

    A run of n images at T times takes a fixed time and one for each evaluation. Both follow from runs
    of one batch and of several; the first does not grow with the images.
    """
    bare = subject(name, device)
    dtype = "bfloat16" if weights(bare) > HALF_FROM else "float32"
    checkpoint = run_well(bare, device, dtype=dtype)
    size = best_batch_size(timed(checkpoint, device), scale.most)
    times = checkpoint.schedule.times(checkpoint.schedule.grid(scale.times))
    counts = (max(2, size), max(4, size * scale.batches))
    pairs = [[images_of(checkpoint, count, size, role) for role in ROLES] for count in counts]
    made = [
        partial(_calibration, checkpoint, pairs[0][0], times, order, device) for order in (0, 1)
    ]
    calibrations = {order: make() for order, make in enumerate(made)}
    works: dict[str, Callable[[ImageSource, ImageSource], object]] = {
        "calibrate, order 0": lambda own, _: _calibration(checkpoint, own, times, 0, device),
        "calibrate, order 1": lambda own, _: _calibration(checkpoint, own, times, 1, device),
        "validate": lambda _, others: validate(
            checkpoint.predict, calibrations[1], images=others,
            conditions=of_images(checkpoint, others, "joint"), device=device,
        ),
    }  # fmt: skip
    evaluations = counts[1] * len(times)
    rows = {
        work: _cost(
            [partial(run, *pair) for pair in pairs],
            lambda: bare_calls(checkpoint, counts[1], times, size, device),
            (counts[1] - counts[0]) * len(times), evaluations, device, scale.turns,
        )
        for work, run in works.items()
    }  # fmt: skip
    return {
        "network": name, "weights": weights(bare), "dtype": dtype, "batch_size": size,
        "times": len(times), "images": list(counts),
        "evaluations_per_second": max(row["bare_evaluations_per_second"] for row in rows.values()),
        "peak_bytes": _peak(lambda: _call(checkpoint, size, device), device),
        "against_the_bare_network": rows,
        "sampling": _sampling(checkpoint, calibrations, size, device, scale),
    }  # fmt: skip


def _calibration(
    checkpoint: Checkpoint, images: ImageSource, times: Tensor, order: int, device: torch.device
) -> Calibration:
    return calibrate_checkpoint(
        checkpoint, images, times, order=order, device=device,
        conditions=of_images(checkpoint, images, "joint"),
    )  # fmt: skip


def _cost(
    runs: list[Callable[[], object]],
    bare: Callable[[], object],
    more: int,
    evaluations: int,
    device: torch.device,
    turns: int,
) -> dict[str, Any]:
    """Fixed seconds of a run, and the throughput of its evaluations over that of bare calls.

    Args:
        runs: a small one and a large one.
        bare: the calls of the large one.
        more: how many evaluations the large one has beyond the small one.
        evaluations: those of the large one.
        device: where they run.
        turns: of which medians are taken.
    """
    peak = _peak(runs[1], device)  # the run that does not count
    taken = [[seconds_of(work, device) for work in (*runs, bare)] for _ in range(turns)]
    small, large, alone = (statistics.median(each) for each in zip(*taken, strict=True))
    of_one = (large - small) / more
    return {
        "ratio_of_evaluations": alone / evaluations / of_one,
        "fixed_seconds": large - of_one * evaluations,
        "bare_evaluations_per_second": evaluations / alone,
        "peak_bytes": peak,
    }


def _sampling(
    checkpoint: Checkpoint,
    calibrations: dict[int, Calibration],
    size: int,
    device: torch.device,
    scale: Scale,
) -> dict[str, float]:
    """Seconds of calibrated and of fitted sampling over bare sampling, medians over turns."""
    noise = latents(checkpoint, size, 0).to(device)
    ways: dict[str, tuple[Predict, Solver | str]] = {"bare": (checkpoint.predict, "ddim")}
    for order, calibration in calibrations.items():
        ways[f"order {order}"] = Calibrated(checkpoint.predict, calibration), "ddim"
    fitted = fit_checkpoint_solver(
        checkpoint, checkpoint.predict, ("ddim",), scale.nfe, starts=16, fresh=16,
        images=images_of(checkpoint, 64, 64), conditions=of_samples(checkpoint, 16, None),
        flow={"device": device},
    )  # fmt: skip
    ways["fitted"] = checkpoint.predict, as_solver(fitted)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(1 + scale.turns):
        for name, (predict, solver) in ways.items():
            work = partial(
                sample, checkpoint, predict, noise, solver=solver, nfe=scale.nfe,
                condition=of_samples(checkpoint, size, None), batch_size=size,
            )  # fmt: skip
            seconds = seconds_of(work, device)
            if turn:
                taken[name].append(seconds)
    return {
        name: statistics.median(a / b for a, b in zip(seconds, taken["bare"], strict=True))
        for name, seconds in taken.items()
        if name != "bare"
    }


def ways_to_call(name: str, device: torch.device, scale: Scale) -> list[dict[str, Any]]:
    """Calls of a network as it is, as a CUDA graph, compiled, and both, at two batch sizes."""
    checkpoint = subject(name, device)
    sizes = (min(16, scale.most), min(256, scale.most))
    expected = {size: _call(checkpoint, size, device) for size in sizes}
    rows = []
    for way in ("as it is", "compiled"):
        if way == "compiled":
            checkpoint = compiled(checkpoint, device)
        for size in sizes:
            call = partial(_call, checkpoint, size, device)
            rows.append(_row(name, way, size, call, expected[size], device))
            if device.type == "cuda":
                replay = _graph(checkpoint, size, device)
                rows.append(_row(name, f"{way}, CUDA graph", size, replay, expected[size], device))
    return rows


def _row(
    name: str,
    way: str,
    size: int,
    call: Callable[[], Tensor],
    expected: Tensor,
    device: torch.device,
) -> dict[str, Any]:
    difference = relative(call(), expected)

    def several() -> None:
        """So many calls."""
        for _ in range(CALLS):
            call()

    seconds = min(seconds_of(several, device) for _ in range(3)) / CALLS
    return {
        "network": name, "way": way, "batch_size": size, "calls_per_second": 1 / seconds,
        "difference": difference,
    }  # fmt: skip


@torch.no_grad()
def _call(checkpoint: Checkpoint, size: int, device: torch.device) -> Tensor:
    """One call, on noise."""
    return checkpoint.predict(*_arguments(checkpoint, size, device))


def _arguments(checkpoint: Checkpoint, size: int, device: torch.device) -> tuple[Any, ...]:
    x_t = latents(checkpoint, 1, 0).to(device).repeat(size, 1, 1, 1)
    t = checkpoint.schedule.times(checkpoint.schedule.grid(3))[1].to(device).expand(size)
    condition = any_condition(checkpoint, size)
    return (x_t, t) if condition is None else (x_t, t, condition.to(device))


@torch.no_grad()
def _graph(checkpoint: Checkpoint, size: int, device: torch.device) -> Callable[[], Tensor]:
    """A call that replays a captured CUDA graph of the network."""
    arguments = _arguments(checkpoint, size, device)
    aside = torch.cuda.Stream()
    with torch.cuda.stream(aside):
        for _ in range(3):
            checkpoint.predict(*arguments)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = checkpoint.predict(*arguments)

    def replay() -> Tensor:
        """The prediction, where the graph puts it."""
        graph.replay()
        return y

    return replay


def _peak(work: Callable[[], object], device: torch.device) -> int | None:
    """Bytes that it takes on the device at most, beside what lies there; None on the CPU."""
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    return torch.cuda.max_memory_allocated(device) - before
