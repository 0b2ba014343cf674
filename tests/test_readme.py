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


def _run(seed, *, passed=True, caught=True, unresolved=0, worst=1e-12):
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
        "mutants": [
            {"claim": "exact", "id": "half", "caught": True},
            {"claim": "sampled", "id": "half", "caught": caught},
        ],
    }


def test_long_runs_are_summed_up():
    runs = [_run(0), _run(3, passed=False, caught=False, unresolved=2, worst=1e-7)]
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


def test_a_mutant_that_was_run_again_is_counted_once_and_named():
    again = _run(3) | {"claims": _run(3)["claims"][1:], "mutants": _run(3)["mutants"][1:]}
    summary = _filler("thorough").summary([_run(0), _run(3, caught=False), again])
    assert summary["mutants"] == [2, 2] and summary["caught"] == [2, 2]
    assert summary["again"] == [{"claim": "sampled", "seed": 3, "mutant": "half"}]


def _write(folder, **files):
    """JSON files in a folder, / in their names written as __."""
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


def _time(t, ours, plain, gain, lower, upper):
    return {
        "t": t, "error_energy": ours, "plain_error_energy": plain, "heldout_gain": gain,
        "heldout_gain_lower": lower, "heldout_gain_upper": upper, "denoising_loss": 10.0,
        "weight": 1.0, "slopes": "none",
    }  # fmt: skip


def _ends(value):
    return {"value": value, "lower": value - 0.125, "upper": value + 0.125}


def test_the_headline_figures_are_those_of_the_report(tmp_path):
    """The plain average over ours: 4, 9 and 100, which have the geometric mean 15.3."""
    rows = [
        _time(400, 1.0, 4.0, 1.0, 0.5, 1.5), _time(800, 2.0, 18.0, 4.0, 3.0, 5.0),
        _time(999, 3.0, 300.0, -1.0, -2.0, -0.5),
    ]  # fmt: skip
    report = {
        "times": rows, "images_calibration": 40, "images_held_out": 30, "total_certificate": 0.25,
        "settings": {"draws": 1, "seed": 2}, "shift_bound_gain_nats": _ends(0.5),
        "bound_gain_nats": _ends(1.0), "bound_gain_bits_per_dim": _ends(2.0),
    }  # fmt: skip
    verified = {
        "claims": [{"kind": "exact"}, {"kind": "statistical"}, {"kind": "exact"}],
        "mutants": [{"caught": True}, {"caught": False}], "false_alarm_probability": 1e-7,
        "asymptotic_false_alarm_probability": 2e-7,
    }  # fmt: skip
    times = {"first": 30.0, "whole": 120.0, "cores": 2}
    statements = {"statements": [{"identity": False}, {"identity": True}]}
    _write(tmp_path, theory=statements, verify=verified, times=times, report__report=report)
    found = _filler().of_demo(tmp_path)
    assert found["ratio_mean"] == "15"
    assert found["ratios"] == "4 at t = 400, 9 at t = 800, 100 at t = 999"
    assert (found["better"], found["worse"]) == (2, 1)
    assert (found["best_share"], found["best_t"]) == ("40%", 800)
    assert found["nats"] == {"value": "1.000", "lower": "0.875", "upper": "1.125"}
    assert found["shift_nats"]["value"] == "0.500" and found["bits"]["value"] == "2.0e+00"
    assert (found["images_calibration"], found["images_held_out"]) == (40, 30)
    assert (found["exact"], found["statistical"], found["mutants"], found["caught"]) == (2, 1, 2, 1)
    assert found["took"] == {"first": "0.5", "whole": "2.0"}
    assert (found["statements"], found["certified"], found["seed"]) == (1, "0.250", 2)


def test_the_figures_of_a_study_are_of_its_largest_size(tmp_path):
    errors = [
        {"estimator": name, "images": images, "seed": seed, "error": error}
        for seed in (1, 2)
        for name, images, error in (
            ("plain", 16, 7.0), ("plain", 32, 12.0 * seed), ("regression", 16, 1.0),
            ("regression", 32, 3.0 * seed),
        )
    ]  # fmt: skip
    gains = [
        {"recipe": recipe, "gain": gain, "gain_upper": upper}
        for recipe, gain, upper in (
            ("published", -3.0, -1.0), ("published", -50.0, -2.0), ("certified", 0.5, 1.0),
            ("certified", -0.5, -0.1), ("certified, generated", 0.5, 1.0),
        )
    ]  # fmt: skip
    _write(tmp_path, study={"errors": errors, "gains": gains, "times": [1, 2, 3]})
    found = _filler().of_study(tmp_path)
    assert (found["ratio"], found["least"], found["most"]) == ("4", 16, 32)
    assert (found["published_least"], found["published_most"]) == ("3.0", "50")
    assert (found["certified_losses"], found["certified_runs"], found["generated_losses"]) == (
        1,
        2,
        0,
    )


def test_the_figures_of_a_repair_are_means_over_seeds_at_one_number_of_evaluations(tmp_path):
    filler = _filler()
    rows = [
        {"network": "int4", "correction": name, "nfe": nfe, "frechet": k + frechet}
        for k, name in enumerate(filler.REPAIRS)
        for nfe, frechet in ((filler.REPAIR_NFE, 1.0), (filler.REPAIR_NFE, 2.0), (5, 99.0))
    ]
    for seed, row in enumerate(rows):
        row["seed"] = seed % 3
    _write(tmp_path, **{"repair-study": {"samples": rows, "cost": {"ratio": 1.025}}})
    found = filler.of_repair(tmp_path)
    assert found["rows"] == [
        {"network": "int4", "distances": [f"{k + 1.5:.2f}" for k in range(len(filler.REPAIRS))]}
    ]
    assert (found["ratio"], found["seeds"]) == ("+2.5", 2)
