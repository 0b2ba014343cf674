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
    """One run for each seed, in which claims that were run again later have their later result.

    Beside it, what was run again: with its seed, and how many cases were not resolved before.
    """
    by_seed: dict[int, dict[str, Any]] = {}
    again = []
    for run in runs:
        first = by_seed.setdefault(run["seed"], {**run, "claims": []})
        before = {claim["id"]: claim for claim in first["claims"]}
        for claim in run["claims"]:
            old = before.get(claim["id"])
            if old and old["passed"] != claim["passed"]:
                again.append({"claim": claim["id"], "seed": run["seed"], "left": old["unresolved"]})
        first["claims"] = list((before | {claim["id"]: claim for claim in run["claims"]}).values())
    return list(by_seed.values()), again


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
