"""In which part alone values are wrong."""

import torch
from torch import Tensor

FEWEST = 3
"""So many values must be right, and so many wrong, before a part is told."""


def one_sided(of: str, values: Tensor, wrong: Tensor, fewest: int = FEWEST) -> str:
    """Up to which value all is right and from which all is wrong, or the other way round.

    Args:
        of: what the values are, as text.
        values: of each place, (n,).
        wrong: whether what is found there is wrong, (n,).
        fewest: right and wrong places that there must be.

    Returns:
        An empty text if right and wrong places are mixed.
    """
    if not fewest <= wrong.sum() <= len(wrong) - fewest:
        return ""
    for is_first, first, last in ((~wrong, "right", "wrong"), (wrong, "wrong", "right")):
        most, least = values[is_first].max(), values[~is_first].min()
        if most < least:
            return f"{first} where {of} is at most {most:.6g}, {last} from {least:.6g} on"
    return ""


def some_coordinates(wrong: Tensor) -> str:
    """Which coordinates are wrong if the others never are; ``wrong`` is (n, d)."""
    axes = wrong.any(0)
    if axes.all() or not axes.any():
        return ""
    some = ", ".join(str(k) for k in axes.nonzero()[:, 0].tolist())
    return f"wrong in coordinate {some} (from 0), right in the others"


def clipped_at(got: Tensor, right: Tensor, wrong: Tensor) -> str:
    """At which size wrong values stand that should be larger; an empty text if they do not.

    Args:
        got, right: values, (n, d).
        wrong: which of them are wrong, (n, d).
    """
    rows = wrong.any(1)
    for what, sizes, wanted in (
        ("each coordinate stands at +-", got[wrong].abs(), right[wrong].abs()),
        ("its norm stands at ", got[rows].norm(dim=1), right[rows].norm(dim=1)),
    ):
        if len(sizes) < FEWEST or not sizes.isfinite().all():
            continue
        size = sizes.median()
        if size > 0 and bool(((sizes - size).abs() <= 1e-6 * size).all() & (wanted > size).all()):
            return f"{what}{size:.6g} where it should be larger"
    return ""


def is_linear(points: Tensor, values: Tensor, tolerance: float) -> bool:
    """Whether values (n, m) are linear, but for a constant, in points (n, d): n > d + 1."""
    if not values.isfinite().all():
        return False
    basis = torch.cat([points, torch.ones_like(points[:, :1])], 1)
    fitted = basis @ torch.linalg.lstsq(basis, values).solution
    return bool((fitted - values).abs().max() <= tolerance * (1 + values.abs().max()))
