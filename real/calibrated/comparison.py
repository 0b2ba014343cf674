"""Which two checkpoints can be held against each other, and whether they are one."""

from torch import Tensor

from real.calibrated.conditions import ConditionKind
from real.families.checkpoint import Checkpoint
from theory.calibration.comparison import require_one_problem
from theory.support.errors import InputError


def require_comparable(
    first: Checkpoint, second: Checkpoint, times: Tensor, condition: ConditionKind
) -> None:
    """Refuse two checkpoints unless both predict the same from the same.

    Raises:
        InputError: another shape, range or autoencoder, other conditions, or another target or schedule
            at these times.
    """
    pairs = {
        "shape": (first.shape, second.shape),
        "range or autoencoder": tuple(c.codec and c.codec.fingerprint for c in (first, second)),
        "kind of conditions": (first.conditions, second.conditions),
    }
    if condition == "null":
        pairs["null condition"] = (first.null_condition, second.null_condition)
    for what, (one, other) in pairs.items():
        if one != other:
            raise InputError(
                f"compare: expected two networks of one {what}, {first.reference} is of {one}, "
                f"{second.reference} of {other}"
            )
    require_one_problem(first.network, second.network, times)


def same_weights(first: Checkpoint, second: Checkpoint) -> bool:
    """Whether it is known that both have the same weights.

    The fingerprint of a network whose modules are not known is that of its file, which may hold several.
    """
    known = bool(first.modules and second.modules)
    return known and first.fingerprint == second.fingerprint
