"""Numbers with what they count."""


def counted(number: int, what: str) -> str:
    """``1 time``, ``2 times``, ``1,000 times``."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
