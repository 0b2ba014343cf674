"""Numbers with what they count."""

from collections.abc import Sequence


def counted(number: int, what: str) -> str:
    """``1 time``, ``2 times``, ``1,000 times``."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def listed(numbers: Sequence[int], what: str) -> str:
    """``1 time``, ``5 times``, ``5, 10 times``: so many of something, each by itself."""
    return f"{', '.join(map(str, numbers))} {what}{'' if list(numbers) == [1] else 's'}"
