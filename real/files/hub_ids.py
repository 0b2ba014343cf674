"""Names of checkpoints as users write them, and the form of a Hub id. Imports no heavy library."""

import re

KINDS = (
    "'digits', a name that `python -m real list` shows, a folder, a checkpoint file, FILE.py:NAME "
    "or a Hub id"
)
"""The kinds of name that a checkpoint may have."""


HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)


def is_hub_id(reference: str) -> bool:
    """Whether a name may be a Hub id, OWNER/NAME."""
    return HUB_ID.fullmatch(reference) is not None


def expected_kinds(reference: str) -> str:
    """The message that a name is of none of the kinds."""
    return f"checkpoint: expected {KINDS}, got {reference!r}"
