"""What options may name, written out: the tables themselves take seconds to import.

``tests/real/commands/test_choices.py`` holds every list equal to its table.
"""

from collections.abc import Sequence

from theory.support.errors import InputError

BATCH_SIZE = 256
NFE = 20
LEAST_SEEDS = 3
"""Repetitions that an interval over them needs."""
LEAST_SAMPLES = 2
"""Samples, and real images, that a distance between two sets needs of each."""
LEAST_STARTS = 16
"""Trajectories that a fit of a solver needs, and its judgement again."""
POLICIES = ("certified", "shrunk", "unshrunk")
PUBLISHED = "published"
"""The published calibration: the plain average, applied as it is."""

ESTIMATORS = ("plain", "residual", "scalar", "regression")
DEVICES = ("auto", "cpu", "cuda", "mps", "xpu", "hpu", "npu", "mtia", "privateuseone")
"""Kinds of device; one of several is cuda:1 and the like."""

CERTIFICATES = ("asymptotic", "exact")
CONDITIONS = ("joint", "null")
DTYPES = ("float32", "bfloat16", "float16")
SOLVERS = (
    "ddim", "ddpm", "dpm-single-1", "dpm-single-2", "dpm-single-3", "dpm-multi-1", "dpm-multi-2",
    "dpm-multi-3", "unipc", "deis", "heun", "heun-churn", "euler", "flow-euler",
)  # fmt: skip
ANALYTIC = "ddpm-analytic"
"""The solver that needs a calibration; ``validate`` alone takes it."""

FAMILIES = (
    "repaired", "diffusers-unet", "diffusers-text-unet", "diffusers-dit", "diffusers-sd3", "diffusers",
    "ddpm", "guided", "edm", "edm2", "score_sde",
)  # fmt: skip
LEAST_BUDGET = 4
"""Evaluations at each time that a budget must allow."""

FORMATS = (
    "int8", "int4", "int3", "fp8", "float16", "bfloat16", "torchao-int8", "torchao-int4",
)  # fmt: skip
AGAINST = ("truth", "original")
FEATURES = ("pixels", "trained", "inception")
NETWORKS = ("digits", "fashion", "cifar10")
PARTS = ("start", "trajectory", "marginals")
PRECISIONS = ("float32", "bfloat16")


def require_one_of(what: str, name: str | None, known: Sequence[str]) -> None:
    """Require a known name; None stands for the default.

    Raises:
        InputError: the name is not known.
    """
    if name is not None and name not in known:
        raise InputError(f"{what}: expected one of {', '.join(known)}, got {name!r}")
