"""What the user knows of images that belong together: a file with one value for each."""

import csv
from pathlib import Path

from theory.support.errors import InputError, refusing
from theory.support.safe_reading import read_lines


def split_reference(reference: str) -> tuple[Path, str | None]:
    """The file and the column of FILE or FILE:COLUMN."""
    file, _, column = reference.rpartition(":")
    if file and not Path(reference).is_file():
        return Path(file), column
    return Path(reference), None


def read_groups(reference: str) -> list[str]:
    """The value of each image, in their order: of each line of a FILE, or of a column of a FILE.csv.

    Raises:
        InputError: there is no such file or column, it cannot be read as text, or a value is missing.
    """
    file, column = split_reference(reference)
    lines = read_lines(file, "groups")
    if column is None:
        values = [line.strip() for line in lines]
    else:
        with refusing(f"groups: {file} cannot be read as a table"):
            rows = csv.DictReader(f"{line}\n" for line in lines)
            if column not in (rows.fieldnames or ()):
                known = ", ".join(rows.fieldnames or ())
                raise InputError(
                    f"groups: expected one of the columns {known:.200}, got {column!r}"
                )
            values = [(row[column] or "").strip() for row in rows]
    missing = next((k for k, value in enumerate(values, 1) if not value), None)
    if missing:
        raise InputError(
            f"groups: expected a value for each image in {file}, got none for {missing}"
        )
    return values
