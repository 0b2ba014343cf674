"""README.md and docs/RESULTS.md are templates filled with figures that commands wrote, and nothing else."""

import importlib.util
import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def _filler(name="readme"):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_are_the_filled_templates():
    filler = _filler()
    values = json.loads(filler.FIGURES.read_text())
    for page in filler.PAGES:
        assert page.read_text() == filler.filled(f"{page.name}.j2", values)


def test_a_number_typed_by_hand_would_be_seen():
    filler = _filler()
    values = json.loads(filler.FIGURES.read_text()) | {"better": 48}
    for page in filler.PAGES:
        assert page.read_text() != filler.filled(f"{page.name}.j2", values)


def test_the_readme_is_short_and_leads_to_what_is_there():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_readme_counts_what_the_code_holds():
    from theory.proofs import STATEMENTS
    from toy.claims.table import ALL

    values = json.loads((ROOT / "docs" / "figures.json").read_text())
    assert values["statements"] == sum(not statement.identity for statement in STATEMENTS)
    assert values["claims"] == len(ALL)
    assert values["mutants"] == sum(len(claim.mutants) for claim in ALL)


def _run(seed, *, passed=True, unresolved=0, worst=1e-12):
    """What ``python -m toy verify --json`` writes, of one exact and one statistical claim."""
    exact = {"kind": "exact", "examples": 20, "unresolved": unresolved, "worst": worst}
    sampled = {"id": "sampled", "kind": "statistical", "examples": 900, "unresolved": 0}
    return {
        "seed": seed,
        "examples": 20,
        "claims": [
            {"id": "exact", "passed": passed} | exact,
            {"worst": 0.7, "passed": True} | sampled,
        ],
        "mutants": [{"caught": True}, {"caught": passed}],
    }


def test_long_runs_are_summed_up():
    runs = [_run(0), _run(3, passed=False, unresolved=2, worst=1e-7)]
    summary = _filler("thorough").summary(runs)
    assert summary["seeds"] == [0, 3]
    assert summary["claims"] == [2, 2] and summary["held"] == [2, 1]
    assert summary["mutants"] == [2, 2] and summary["caught"] == [2, 1]
    assert summary["cases"] == 40 and summary["unresolved"] == 2
    assert (summary["worst"], summary["worst_claim"]) == (1e-7, "exact")
    assert (summary["exact"], summary["fine"]) == (1, 0)


def test_a_claim_that_was_run_again_is_counted_once_and_named():
    again = _run(3) | {"claims": _run(3)["claims"][:1], "mutants": []}
    summary = _filler("thorough").summary([_run(0), _run(3, passed=False, unresolved=2), again])
    assert summary["held"] == [2, 2] and summary["unresolved"] == 0 and summary["cases"] == 40
    assert summary["again"] == [{"claim": "exact", "seed": 3, "left": 2}]
    assert _filler("thorough").summary([_run(0), _run(3)])["again"] == []
