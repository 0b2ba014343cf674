"""``torchrun ... -m tests.theory.calibration.shared_run FOLDER``: calibrations that processes share."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.theory.calibration.test_order_of_images import HELD_OUT, network
from tests.theory.calibration.test_progress import KILLED, made
from theory import validate
from theory.calibration import memory_plan, passes
from theory.calibration.memory_plan import MemoryPlan
from theory.calibration.progress import Progress
from theory.support.workers import ALONE, Workers, joined

BLOCKS = "order 1, a time or two at once"
WAYS = KILLED | {BLOCKS: KILLED["order 1"]}
CASES = [*((way, 7) for way in WAYS), ("order 0", 1), ("order 0", 64)]
"""What is calibrated how, in batches of which size."""


def run(folder: Path, workers: Workers = ALONE) -> None:
    """Calibrate and validate everything; the first process saves it."""
    for way, batch_size in CASES:
        progress = Progress(workers)
        with memory_of(1 + workers.rank) if way == BLOCKS else nullcontext():
            calibration = made(network, WAYS[way], batch_size=batch_size, progress=progress)
        if not workers.rank:
            calibration.save(folder / f"{way} {batch_size}.safetensors")
    found = validate(
        network, calibration, images=HELD_OUT, batch_size=5, progress=Progress(workers)
    )
    value = Progress(workers).once("rank", lambda _: {"rank": workers.rank})
    if not workers.rank:
        numbers = {"losses": found.losses.tolist(), "gain": found.bound_gain().value, **value}
        (folder / "validation.json").write_text(json.dumps(numbers))


@contextmanager
def memory_of(times: int) -> Iterator[None]:
    """Room for the sums of so many times."""

    def plan(*arguments: Any) -> MemoryPlan:
        return replace(memory_plan.plan_memory(*arguments), together=times)

    whole, passes.plan_memory = passes.plan_memory, plan
    yield
    passes.plan_memory = whole


if __name__ == "__main__":
    with joined() as those:
        run(Path(sys.argv[1]), those)
