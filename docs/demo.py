"""Write the index page of what `make demo` made: ``python docs/demo.py build/demo``."""

import base64
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from theory.support.output import replacing_file, write_json

DOCS = Path(__file__).parent
TEMPLATES = DOCS.parent / "real" / "reports" / "templates"
PAGE = "index.html"


def main(demo: Path) -> None:
    """Read what the demo's commands wrote, and write the page beside it."""
    proofs = _read(demo / "theory.json")["statements"]
    values = {
        "statements": [proof for proof in proofs if not proof["identity"]],
        "identities": [proof for proof in proofs if proof["identity"]],
        "verified": _verified(_read(demo / "verify.json")),
        "figures": _figures(demo / "figures"),
        "report": _read(demo / "report" / "report.json"),
        "samples": _picture(demo / "report" / "samples_after.png"),
    }
    environment = Environment(
        loader=FileSystemLoader((DOCS, TEMPLATES)), undefined=StrictUndefined,
        autoescape=select_autoescape(("html.j2",)), trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    page = environment.get_template("demo.html.j2").render(values)
    with replacing_file(demo / PAGE) as temporary:
        temporary.write_text(page)
    write_json(demo / "times.json", _times(demo))
    print(f"index: {demo / PAGE}")


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _times(demo: Path) -> dict[str, Any]:
    """Seconds since the demo began: until its first result, and until now."""
    began = int((demo / "began").read_text())
    first = (demo / "report" / "report.json").stat().st_mtime
    return {"first": first - began, "whole": time.time() - began, "cores": os.cpu_count()}


def _verified(verified: dict[str, Any]) -> dict[str, Any]:
    """Claims with their mutants beside them."""
    mutants: dict[str, list[dict[str, Any]]] = {}
    for mutant in verified["mutants"]:
        mutants.setdefault(mutant["claim"], []).append(mutant)
    claims = [claim | {"mutants": mutants.get(claim["id"], [])} for claim in verified["claims"]]
    return verified | {
        "claims": claims,
        "hold": sum(claim["passed"] for claim in claims),
        "caught": sum(mutant["caught"] for mutant in verified["mutants"]),
    }


def _figures(folder: Path) -> list[dict[str, str]]:
    shown = _read(folder / "gallery.json")["figures"]
    return [figure | {"picture": _picture(folder / f"{figure['name']}.png")} for figure in shown]


def _picture(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
