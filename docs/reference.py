"""Write the pages of the site that the code itself fills: the theory, the API, and the modules.

``python docs/reference.py`` fills docs/theory.md.j2, in which each statement is followed by links to its
proof, check and code; and lists the public names and the modules that are linked to.
"""

import ast
import json
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from theory import proofs
from toy.claims import table

DOCS = Path(__file__).parent
TEMPLATE = DOCS / "theory.md.j2"
THEORY, MODULES, API = (DOCS / "pages" / name for name in ("theory.md", "modules.md", "api.md"))
PROOFS = (
    proofs.schedules, proofs.martingale, proofs.concentration, proofs.calibration,
    proofs.likelihood, proofs.first_order, proofs.tower, proofs.fitted_solvers,
)  # fmt: skip
PACKAGES = {
    "theory": "Calibration on any callable, and fitted solvers.",
    "real": "Real networks: load, calibrate, sample, and use a calibration in a pipeline.",
    "toy": "Exact mixtures, and what a file for `python -m toy verify` needs.",
}
MODULES_HEAD = """# Proofs, claims and code

These are the modules that [the theory](theory.md) links to. Proofs and claims are shown with their source.
The public names of the three packages are [on a page of their own](api.md).
"""
API_HEAD = """# API

These names are public: `from theory import calibrate`, `from real import load`, `from toy import Model`.
"""


class Evidence:
    """Links to proofs, claims and modules, and which of them have been made."""

    def __init__(self) -> None:
        self.proofs = {s.id: (module, s) for module in PROOFS for s in module.STATEMENTS}
        self.claims = {c.id: (module, c) for module in table.FAMILIES for c in module.CLAIMS}
        self.linked: dict[str, set[str]] = {"proof": set(), "check": set(), "module": set()}

    def __call__(self, proved: Sequence[str], checked: Sequence[str], code: Sequence[str]) -> str:
        """A list, folded up, of links to what the patterns match.

        Raises:
            ValueError: a pattern that matches nothing.
        """
        found = {
            "proof": [(s, *self.proofs[s]) for s in _matching(proved, self.proofs)],
            "check": [(c, *self.claims[c]) for c in _matching(checked, self.claims)],
        }
        rows = [
            f"- {kind.capitalize()} [`{name}`][{module.__name__}]: {_plain(thing.says)}"
            for kind, things in found.items()
            for name, module, thing in things
        ]
        rows += [f"- Code [`{name}`][{name}]" for name in code]
        for kind, things in found.items():
            self.linked[kind] |= {name for name, *_ in things}
        self.linked["module"] |= set(code)
        counts = [(kind, len(things)) for kind, things in found.items()] + [("module", len(code))]
        says = ", ".join(f"{n} {kind}{'s' * (n > 1)}" for kind, n in counts if n)
        body = "\n".join(rows)
        return f'\n<details markdown="1"><summary>{says}</summary>\n\n{body}\n\n</details>\n'

    def require_all(self) -> None:
        """Raises: ValueError, a proof or a claim that no statement links to."""
        for kind, things in (("proof", self.proofs), ("check", self.claims)):
            if missing := set(things) - self.linked[kind]:
                raise ValueError(f"no statement links to the {kind} {', '.join(sorted(missing))}")


def pages() -> dict[Path, str]:
    """The text of each page."""
    evidence = Evidence()
    template = Environment(undefined=StrictUndefined, keep_trailing_newline=True).from_string(
        TEMPLATE.read_text()
    )
    theory = template.render(
        evidence=evidence, statements=len(evidence.proofs), claims=len(evidence.claims),
        mutants=sum(len(claim.mutants) for _, claim in evidence.claims.values()),
    )  # fmt: skip
    evidence.require_all()
    public = {package: _public(package) for package in PACKAGES}
    elsewhere = {name for names in public.values() for name in names}
    return {
        THEORY: theory,
        API: _page(
            API_HEAD, {f"{package}\n\n{PACKAGES[package]}": [_reference(name) for name in names]
                       for package, names in public.items()}
        ),
        MODULES: _page(
            MODULES_HEAD,
            {
                "Proofs": [_reference(m.__name__, show_source=True) for m in PROOFS],
                "Claims": [_reference(m.__name__, show_source=True) for m in table.FAMILIES],
                "Code": [
                    _reference(name, members=_members(name, elsewhere))
                    for name in sorted(evidence.linked["module"])
                ],
            },
        ),
    }  # fmt: skip


def _public(package: str) -> list[str]:
    """Where the public names of a package are defined, in the order of the names."""
    module = import_module(package)
    things = [getattr(module, name) for name in module.__all__ if not name.startswith("_")]
    return [f"{thing.__module__}.{thing.__qualname__}" for thing in things]


def _members(module: str, elsewhere: set[str]) -> list[str] | bool:
    """The public functions and classes of a module that are not shown elsewhere; False if there are none."""
    body = ast.parse(Path(import_module(module).__file__ or "").read_text()).body
    names = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [n for n in names if not n.startswith("_") and f"{module}.{n}" not in elsewhere] or False


def _matching(patterns: Iterable[str], names: Iterable[str]) -> list[str]:
    found: dict[str, None] = {}
    for pattern in patterns:
        matched = [name for name in names if fnmatchcase(name, pattern)]
        if not matched:
            raise ValueError(f"nothing is called {pattern}")
        found |= dict.fromkeys(matched)
    return list(found)


def _plain(text: str) -> str:
    """As text in Markdown, where some signs would mean something."""
    return "".join(f"&#{ord(sign)};" if sign in "\\*_[]<>|`" else sign for sign in text)


def _page(head: str, sections: dict[str, list[str]]) -> str:
    parts = [f"## {title}\n\n{''.join(references)}" for title, references in sections.items()]
    return "\n".join(["<!-- Written by docs/reference.py. -->", head, *parts]).rstrip() + "\n"


def _reference(name: str, **options: Any) -> str:
    """The directive that shows a module, class or function."""
    settings = json.dumps({"show_source": False, **options})
    return f"::: {name}\n    options: {settings}\n\n"


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
