"""Run the pages of the site and keep what they show: ``python docs/outputs.py [PAGE ...]``.

Every block that is not marked ``needs`` is run, in a new folder under build/pages/. What the commands print,
other than progress, goes to the text blocks that follow them, and pictures that a page shows from
``outputs/`` are copied.
"""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from blocks import Block, blocks

DOCS = Path(__file__).parent
ROOT, PAGES = DOCS.parent, DOCS / "pages"
OUTPUTS = PAGES / "outputs"
RUNS = ROOT / "build" / "pages"
MADE_BY = OUTPUTS / "made_by.json"
PICTURE = re.compile(r"!\[[^\]]*\]\((?:\.\./)?outputs/(?P<name>[^)]+\.png)\)")


def outputs_of(page: Path) -> dict[str, list[str]]:
    """Run a page; returns the code that made each output."""
    name = page.relative_to(PAGES).with_suffix("")
    folder = RUNS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    printed, made_by, code, namespace = "", {}, [], {"__name__": "page"}
    for block in blocks(page):
        if block.snippet:
            target = OUTPUTS / block.snippet
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(printed.rstrip() + "\n")
            made_by[block.snippet], printed, code = code, "", []
        elif block.language in ("sh", "python") and block.mark != "needs":
            printed += _run(block, folder, namespace)
            code = [*code, block.code]
    for picture in PICTURE.finditer(page.read_text()):
        target = OUTPUTS / picture["name"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / Path(picture["name"]).relative_to(name), target)
    return made_by


def _run(block: Block, folder: Path, namespace: dict[str, Any]) -> str:
    if block.title:
        (folder / block.title).write_text(block.code)
        return ""
    if block.language == "sh":
        return "".join(_shell(command, folder) for command in block.commands)
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(block.code, str(folder), "exec"), namespace)
    return out.getvalue()


def _shell(command: Any, folder: Path) -> str:
    program, *arguments = command.words
    if program != "python":
        raise SystemExit(f"expected a command of python, got {program}")
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode != command.status:
        raise SystemExit(f"{' '.join(command.words)}: exit status {done.returncode}\n{done.stderr}")
    if command.into:
        (folder / command.into).write_text(done.stdout)
        return ""
    return done.stdout


def main(names: list[str]) -> None:
    """Run the pages of these names, or all that show outputs."""
    pages = [PAGES / name for name in names] or [
        page for page in sorted(PAGES.rglob("*.md")) if "outputs/" in page.read_text()
        or any(block.snippet for block in blocks(page))
    ]  # fmt: skip
    known = json.loads(MADE_BY.read_text()) if MADE_BY.exists() else {}
    for page in pages:
        known |= outputs_of(page)
    MADE_BY.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
