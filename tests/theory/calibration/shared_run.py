"""``torchrun ... -m tests.theory.calibration.shared_run FOLDER``: calibrations that processes share."""

import json
import sys
from pathlib import Path

from tests.theory.calibration.test_order_of_images import HELD_OUT, network
from tests.theory.calibration.test_progress import KILLED, made
from theory import validate
from theory.calibration.progress import Progress
from theory.support.workers import ALONE, Workers, joined

CASES = [*((way, 7) for way in KILLED), ("order 0", 1), ("order 0", 64)]
"""What is calibrated how, in batches of which size."""


def run(folder: Path, workers: Workers = ALONE) -> None:
    """Calibrate and validate everything; the first process saves it."""
    for way, batch_size in CASES:
        calibration = made(network, KILLED[way], batch_size=batch_size, progress=Progress(workers))
        if not workers.rank:
            calibration.save(folder / f"{way} {batch_size}.safetensors")
    found = validate(
        network, calibration, images=HELD_OUT, batch_size=5, progress=Progress(workers)
    )
    value = Progress(workers).once("rank", lambda _: {"rank": workers.rank})
    if not workers.rank:
        numbers = {"losses": found.losses.tolist(), "gain": found.bound_gain().value, **value}
        (folder / "validation.json").write_text(json.dumps(numbers))


if __name__ == "__main__":
    with joined() as those:
        run(Path(sys.argv[1]), those)
