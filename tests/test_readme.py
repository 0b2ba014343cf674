"""README.md is its template filled with the figures that the demo wrote, and nothing else."""

import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).parent.parent


def _filler():
    spec = importlib.util.spec_from_file_location("readme", ROOT / "docs" / "readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readme_is_the_filled_template():
    filler = _filler()
    values = json.loads(filler.FIGURES.read_text())
    assert (ROOT / "README.md").read_text() == filler.readme(values)


def test_a_number_typed_by_hand_would_be_seen():
    filler = _filler()
    values = json.loads(filler.FIGURES.read_text()) | {"better": 48}
    assert (ROOT / "README.md").read_text() != filler.readme(values)


def test_readme_counts_what_the_code_holds():
    from theory.proofs import STATEMENTS
    from toy.claims import ALL

    values = json.loads((ROOT / "docs" / "figures.json").read_text())
    assert values["statements"] == len(STATEMENTS)
    assert values["claims"] == len(ALL)
    assert values["mutants"] == sum(len(claim.mutants) for claim in ALL)
