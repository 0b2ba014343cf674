"""Load a checkpoint once more, so that the copy can be changed: damage its weights."""

from real.checkpoints.loading import FAMILIES, load
from real.compress.quantize import Damage, decode_into, denoisers, encode_damaged
from real.families.checkpoint import Checkpoint
from theory.support.errors import InputError


def reloaded(checkpoint: Checkpoint) -> Checkpoint:
    """The same checkpoint with networks of its own.

    Raises:
        InputError: it has no networks, or its reference no longer leads to it.
    """
    _, network = next(denoisers(checkpoint))
    device = next(network.parameters()).device
    known = {family.name for family in FAMILIES}
    family = checkpoint.family if checkpoint.family in known else None
    fresh = load(checkpoint.reference, device, family)
    if fresh.fingerprint != checkpoint.fingerprint:
        raise InputError(f"checkpoint: {checkpoint.reference} is no longer the one that was loaded")
    return fresh


def damaged(checkpoint: Checkpoint, damage: Damage) -> Checkpoint:
    """The damaged network, with a fingerprint of its own; the original is untouched.

    Raises:
        InputError: the checkpoint has no networks, or cannot be loaded once more.
    """
    return decode_into(reloaded(checkpoint), damage, encode_damaged(checkpoint, damage))
