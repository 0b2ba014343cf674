"""No code names what is not there.

The linters cannot tell, as they take the shapes in annotations ("time") for names.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("theory", "toy", "real", "tests", "docs")


def undefined(*paths: Path) -> list[str]:
    """Names outside of quotes that nothing defines, with their places."""
    command = ["-m", "ruff", "check", "--isolated", "--select", "F821", "--output-format", "json"]
    ran = subprocess.run(
        [sys.executable, *command, *paths], capture_output=True, text=True, cwd=ROOT, check=False
    )
    found = []
    for note in json.loads(ran.stdout):
        row, column = note["location"]["row"], note["location"]["column"]
        line = Path(note["filename"]).read_text().split("\n")[row - 1]
        if line[: column - 1].count('"') % 2 == 0:
            found.append(f"{note['filename']}:{row}: {note['message']}")
    return found


def test_every_name_is_defined():
    assert not undefined(*(ROOT / folder for folder in FOLDERS))


def test_a_name_that_is_not_there_is_found(tmp_path):
    shape_and_name = 'def f(x: "time") -> int:\n    return missing\n'
    (tmp_path / "wrong.py").write_text(shape_and_name)
    (found,) = undefined(tmp_path / "wrong.py")
    assert "missing" in found and ":2:" in found
