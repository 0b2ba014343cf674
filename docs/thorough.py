"""Sum up long runs of ``python -m toy verify`` in docs/thorough.json, which the README names.

``python docs/thorough.py build/thorough/*.json``
"""

import json
import sys
from pathlib import Path
from typing import Any

SUMMARY = Path(__file__).parent / "thorough.json"
FINE = 1e-10


def joined(runs: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One run for each seed, in which what was run again later has its later result.

    Beside it, what came out otherwise then: a claim, with how many cases were not resolved before, or
    a mutant of it that was not caught before; each with its seed.
    """
    by_seed: dict[int, dict[str, Any]] = {}
    again = []
    for run in runs:
        first = by_seed.setdefault(run["seed"], {**run, "claims": [], "mutants": []})
        for old, new in _replaced(first, run, "claims", ("id",)):
            if old["passed"] != new["passed"]:
                again.append({"claim": new["id"], "seed": run["seed"], "left": old["unresolved"]})
        for old, new in _replaced(first, run, "mutants", ("claim", "id")):
            if old["caught"] != new["caught"]:
                again.append({"claim": new["claim"], "seed": run["seed"], "mutant": new["id"]})
    return list(by_seed.values()), again


def _replaced(
    first: dict[str, Any], run: dict[str, Any], what: str, key: tuple[str, ...]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Put the rows of a later run in the place of those of the first; the pairs, old and new."""
    known = {tuple(row[k] for k in key): row for row in first[what]}
    new = {tuple(row[k] for k in key): row for row in run[what]}
    first[what] = list((known | new).values())
    return [(known[name], row) for name, row in new.items() if name in known]


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """What came of runs of the same claims: counts by seed, and the worst errors over all of them."""
    runs, again = joined(runs)
    exact = [claim for run in runs for claim in run["claims"] if claim["kind"] == "exact"]
    worst: dict[str, float] = {}
    for claim in exact:
        worst[claim["id"]] = max(claim["worst"], worst.get(claim["id"], 0.0))
    return {
        "again": again,
        "seeds": [run["seed"] for run in runs],
        "examples": [run["examples"] for run in runs],
        "claims": [len(run["claims"]) for run in runs],
        "held": [sum(claim["passed"] for claim in run["claims"]) for run in runs],
        "mutants": [len(run["mutants"]) for run in runs],
        "caught": [sum(mutant["caught"] for mutant in run["mutants"]) for run in runs],
        "cases": sum(claim["examples"] for claim in exact),
        "unresolved": sum(claim["unresolved"] for claim in exact),
        "exact": len(worst),
        "fine": sum(error <= FINE for error in worst.values()),
        "worst": max(worst.values()),
        "worst_claim": max(worst, key=lambda claim: worst[claim]),
    }


if __name__ == "__main__":
    runs = [json.loads(Path(name).read_text()) for name in sys.argv[1:]]
    SUMMARY.write_text(json.dumps(summary(runs), indent=2) + "\n")
