"""``python -m toy``: what verify writes and returns, and figures that show something."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

import toy.cli as program
from theory.support.command_line import run
from theory.support.errors import InputError
from toy.claims import calibration, schedules
from toy.claims.parallel import default_jobs, verify_apart
from toy.judge.claim import ExactClaim, Mutant, StatisticalClaim, Trial
from toy.numerics.quadrature import UnresolvedError

SOME = tuple(
    c
    for c in (*schedules.CLAIMS, *calibration.CLAIMS)
    if c.id in ("inverse", "transitions", "debiasing")
)
FIGURES = [
    "schedules", "score_paths", "martingale_residual", "posterior_paths", "tower_residual",
    "translation", "energy_identity", "supremum_tails", "azuma", "optional_stopping",
    "likelihood_bounds", "calibrated_likelihood", "discrete_bound", "euler_maruyama",
    "martingale_drift", "loss_and_shift", "guidance", "planted_and_recovered", "order_0_and_1",
]  # fmt: skip
CLAIM_KEYS = {"id", "section", "kind", "examples", "worst", "tolerance", "level", "passed"}
MUTANT_KEYS = {"id", "claim", "caught", "counterexample"}


def below(limit):
    return lambda n: 0.0 if n < limit else 1.0


def claim(limit, mutants_limit):
    mutant = Mutant(f"mutant-{mutants_limit}", below(mutants_limit))
    return ExactClaim(f"claim-{limit}", "0", "says", st.integers(0, 100), below(limit), (mutant,))


HOLDS, FALLS, SURVIVED = claim(101, 5), claim(50, 5), claim(102, 102)
CHANCE = StatisticalClaim("chance", "0", "says", 1e-9, lambda seed: Trial(0.5, 9), ())


def verify(monkeypatch, claims, *arguments):
    monkeypatch.setattr(program, "ALL", claims)
    return program.main(["verify", "--quiet", "--jobs", "1", *map(str, arguments)])


def test_verify_writes_every_verdict(monkeypatch, tmp_path, capsys):
    out = tmp_path / "verify.json"
    assert verify(monkeypatch, SOME, "--examples", 5, "--json", out) == 0
    report = json.loads(out.read_text())
    assert [c["id"] for c in report["claims"]] == [c.id for c in SOME]
    assert [m["id"] for m in report["mutants"]] == [m.id for c in SOME for m in c.mutants]
    assert all(set(c) >= CLAIM_KEYS for c in report["claims"])
    assert all(set(m) >= MUTANT_KEYS for m in report["mutants"])
    assert all(c["passed"] is True and c["worst"] <= c["tolerance"] for c in report["claims"])
    assert all(m["caught"] is True and m["counterexample"] for m in report["mutants"])
    assert {m["claim"] for m in report["mutants"]} == {c.id for c in SOME}
    assert report["false_alarm_probability"] == calibration.LEVEL
    printed = capsys.readouterr().out
    assert f"{len(SOME)} of {len(SOME)} claims hold" in printed


@pytest.mark.parametrize(
    ("claims", "status", "line"),
    [
        ((HOLDS, CHANCE), 0, "2 of 2 claims hold, 1 of 1 mutants caught"),
        ((HOLDS, FALLS), 1, "1 of 2 claims hold, 2 of 2 mutants caught"),
        ((HOLDS, SURVIVED), 1, "2 of 2 claims hold, 1 of 2 mutants caught"),
    ],
)
def test_the_status_tells_whether_the_theory_stands(
    monkeypatch, tmp_path, capsys, claims, status, line
):
    out = tmp_path / "verify.json"
    assert verify(monkeypatch, claims, "--examples", 200, "--json", out) == status
    assert line in capsys.readouterr().out
    report = json.loads(out.read_text())
    everything = [c["passed"] for c in report["claims"]] + [m["caught"] for m in report["mutants"]]
    assert all(everything) == (status == 0)


def unresolved(case):
    raise UnresolvedError("quadrature: no")


OPEN = ExactClaim("open", "0", "says", st.integers(0, 100), unresolved, ())


@pytest.mark.parametrize(("claims", "status"), [((HOLDS, OPEN), 3), ((FALLS, OPEN), 1)])
def test_what_is_left_open_has_a_status_of_its_own(monkeypatch, capsys, claims, status):
    assert verify(monkeypatch, claims, "--examples", 200) == status
    assert "1 not resolved" in capsys.readouterr().out.splitlines()[-1]


def test_only_some_claims_are_tried(monkeypatch, capsys):
    assert verify(monkeypatch, (FALLS, HOLDS, CHANCE), "--only", "chance,claim-101") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines if line.startswith("holds")] == [
        "claim-101",
        "chance",
    ]
    assert verify(monkeypatch, (FALLS, HOLDS), "--only", "claim-50", "--examples", 200) == 1


def test_unknown_claims_are_refused_with_one_line(monkeypatch):
    with pytest.raises(InputError, match="no claim 'nothing'") as error:
        verify(monkeypatch, (FALLS, HOLDS), "--only", "claim-101,nothing")
    assert "\n" not in str(error.value)


def test_claims_are_listed_and_not_tried(monkeypatch, capsys):
    assert verify(monkeypatch, (FALLS, HOLDS), "--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["claim-50", "claim-101"]


def test_the_number_of_processes_changes_nothing():
    ids = [claim.id for claim in SOME]
    one, two = (list(verify_apart(ids, 5, 3, jobs)) for jobs in (1, 2))
    assert one == two
    assert [v.evidence.claim for v in one] == ids
    assert one != list(verify_apart(ids, 5, 4, 2))


def test_several_processes_try_the_cases_of_one(tmp_path):
    """Hypothesis tries constants of the modules that are loaded: they must be the same in each."""
    command = [
        "verify",
        "--quiet",
        "--examples",
        "100",
        "--seed",
        "2",
        "--only",
        "transitions,conversion",
    ]
    files = [tmp_path / f"{jobs}.json" for jobs in (1, 2)]
    for jobs, file in enumerate(files, 1):
        options = ["--jobs", str(jobs), "--json", str(file)]
        subprocess.run([sys.executable, "-m", "toy", *command, *options], check=True)
    assert files[0].read_text() == files[1].read_text()


def test_an_error_in_a_process_is_not_hidden():
    with pytest.raises(ValueError, match="not enough values to unpack"):
        list(verify_apart(["no claim of this id"], 5, 0, 1))


@pytest.mark.parametrize("cores", [1, 2, 64])
def test_by_default_a_process_per_core(monkeypatch, cores):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    assert default_jobs() == min(cores, 8)


def test_what_falls_is_shown_with_its_counterexample(monkeypatch, capsys):
    verify(monkeypatch, (FALLS, SURVIVED), "--examples", 200)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("FALLS  §0  claim-50")
    assert lines[1].split() == ["counterexample:", "50"]
    assert lines[2].split() == ["caught", "mutant-5:", "5,", "error", "1"]
    assert lines[3].startswith("holds  §0  claim-102")
    assert lines[4].split()[:2] == ["SURVIVES", "mutant-102:"]


def test_a_worst_that_is_infinite_is_still_json(monkeypatch, tmp_path):
    infinite = ExactClaim("infinite", "0", "", st.just(0), lambda n: float("inf"), ())
    out = tmp_path / "verify.json"
    assert verify(monkeypatch, (infinite,), "--json", out) == 1
    assert json.loads(out.read_text())["claims"][0]["worst"] is None


def leave(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["toy", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        run("python -m toy", program.main)
    return left.value.code


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "--examples", "0"],
        ["verify", "--examples", "many"],
        ["verify", "--jobs", "0"],
        ["verify", "--json", "FILE/below.json"],
        ["verify", "--json", "FOLDER"],
        ["plots", "--out", "FILE"],
        ["plots"],
        ["dance"],
        [],
    ],
    ids=" ".join,
)
def test_bad_arguments_are_one_line_and_status_two(monkeypatch, tmp_path, capsys, arguments):
    def never(case):
        raise AssertionError("a claim was tried")

    untried = ExactClaim("untried", "0", "", st.just(0), never, ())
    monkeypatch.setattr(program, "ALL", (untried,))
    (tmp_path / "file").touch()
    places = {"FILE": str(tmp_path / "file"), "FOLDER": str(tmp_path)}
    for name, place in places.items():
        arguments = [a.replace(name, place) for a in arguments]
    assert leave(monkeypatch, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("python -m toy: ")
    assert captured.err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_good_arguments_leave_with_the_programs_status(monkeypatch):
    monkeypatch.setattr(program, "ALL", (HOLDS,))
    assert leave(monkeypatch, "verify", "--quiet", "--jobs", "1") == 0
    monkeypatch.setattr(program, "ALL", (FALLS,))
    assert leave(monkeypatch, "verify", "--quiet", "--jobs", "1") == 1


def test_errors_are_raised_to_callers():
    with pytest.raises(InputError, match="positive whole number"):
        program.main(["verify", "--examples", "0"])


def is_blank(image):
    """Whether fewer than one pixel in a hundred differs from the corner's."""
    pixels = np.asarray(image.convert("RGB")).astype(int)
    return (pixels != pixels[0, 0]).any(-1).mean() < 0.01


def test_a_blank_image_is_told_apart():
    assert is_blank(Image.new("RGB", (50, 50), "white"))
    drawn = Image.new("RGB", (50, 50), "white")
    drawn.paste("black", (10, 10, 20, 20))
    assert not is_blank(drawn)


def test_plots_writes_figures_that_show_something(tmp_path, capsys):
    out = tmp_path / "figures"
    assert program.main(["plots", "--out", str(out), "--quiet"]) == 0
    written = {p.name for p in out.iterdir()}
    names = {p.stem for p in out.iterdir()}
    assert names >= set(FIGURES)
    assert written == {f"{name}.{kind}" for name in names for kind in ("png", "pdf", "json")}
    assert set(capsys.readouterr().out.split()) == {str(out / file) for file in written}
    for name in names:
        assert (out / f"{name}.pdf").read_bytes().startswith(b"%PDF-")
        assert json.loads((out / f"{name}.json").read_text())
        with Image.open(out / f"{name}.png") as image:
            assert min(image.size) > 300
            assert not is_blank(image)
