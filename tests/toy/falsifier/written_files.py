"""Files of users, as the falsifier loads them."""

from pathlib import Path
from typing import Any

from theory.support.user_code import load_object


def loaded(folder: Path, text: str, name: str) -> Any:
    """What a file of this text holds under a name."""
    path = folder / "mine.py"
    path.write_text(text)
    return load_object(f"{path}:{name}")
