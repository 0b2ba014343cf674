"""``python -m toy verify``: what it writes and returns, and in how many processes."""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import strategies as st

from theory.support.command_line import run
from theory.support.errors import InputError
from toy.__main__ import main
from toy.claims import calibration, parallel, schedules, table
from toy.commands import plots
from toy.commands import verify as verify_command
from toy.commands.verify import default_jobs
from toy.judge.claim import LEVEL, ExactClaim, Mutant, StatisticalClaim, Trial
from toy.judge.evidence import Evidence, Explanation
from toy.judge.verdicts import NotTried, Verdict
from toy.numerics.reported_errors import UnresolvedError

SOME = tuple(
    c
    for c in (*schedules.CLAIMS, *calibration.CLAIMS)
    if c.id in ("inverse", "transitions", "debiasing")
)
ROOT = Path(__file__).parents[3]
CLAIM_KEYS = {"cases", "id", "section", "kind", "examples", "worst", "tolerance", "level", "passed"}
MUTANT_KEYS = {"id", "claim", "caught", "counterexample"}


MINE = "from theory.schedules import RectifiedFlow\nmine = RectifiedFlow()\n"


def below(limit):
    return lambda n: 0.0 if n < limit else 1.0


def claim(limit, mutants_limit):
    mutant = Mutant(f"mutant-{mutants_limit}", below(mutants_limit))
    return ExactClaim(f"claim-{limit}", "0", "says", st.integers(0, 100), below(limit), (mutant,))


HOLDS, FALLS, SURVIVED = claim(101, 5), claim(50, 5), claim(102, 102)
CHANCE = StatisticalClaim("chance", "0", "says", lambda seed: Trial(0.5, 9), ())


def verify(monkeypatch, claims, *arguments):
    monkeypatch.setattr(table, "ALL", claims)
    return main(["verify", "--quiet", "--jobs", "1", *map(str, arguments)])


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
    assert report["false_alarm_probability"] == 0
    assert report["asymptotic_false_alarm_probability"] == LEVEL
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
    assert "did you mean" not in str(error.value)
    with pytest.raises(InputError, match=r"no claim 'claim-100'.*did you mean claim-101\?"):
        verify(monkeypatch, (FALLS, HOLDS), "--only", "claim-100")


def test_a_claim_is_known_by_what_only_its_id_begins_with(monkeypatch, capsys):
    claims = FALLS, HOLDS, SURVIVED, CHANCE
    assert verify(monkeypatch, claims, "--only", "ch,claim-101") == 0
    assert "2 of 2 claims hold" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"'claim-1' begins several claims: claim-101, claim-102"):
        verify(monkeypatch, claims, "--only", "claim-1")
    short = StatisticalClaim("claim", "0", "says", lambda seed: Trial(0.5, 9), ())
    assert verify(monkeypatch, (*claims, short), "--only", "claim") == 0
    for nothing in ("", "chance,", "hance"):
        with pytest.raises(InputError, match="no claim"):
            verify(monkeypatch, claims, "--only", nothing)


def test_claims_are_listed_and_not_tried(monkeypatch, capsys):
    monkeypatch.setattr(table, "ALL", (FALLS, HOLDS))
    for unread in (["--seed", "1"], ["--json", "l.json"], ["--examples", "5"]):
        with pytest.raises(InputError, match=f"--list: .* no {unread[0]} beside it"):
            main(["verify", "--list", *unread])
    assert main(["verify", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        [claim.id, f"§{claim.section}", *claim.says.split()] for claim in (FALLS, HOLDS)
    ]


def test_a_report_says_how_many_cases_were_asked_for_and_with_which_seed(monkeypatch, tmp_path):
    out = tmp_path / "verify.json"
    verify(monkeypatch, (HOLDS,), "--examples", 30, "--seed", 7, "--json", out)
    report = json.loads(out.read_text())
    assert (report["examples"], report["seed"]) == (30, 7)
    (claim,) = report["claims"]
    assert claim["cases"] == HOLDS.uphold(30, 7).cases != HOLDS.uphold(30, 0).cases


def test_what_is_brought_is_tried_as_often_and_with_the_seed_that_is_asked_for(
    monkeypatch, tmp_path
):
    asked = []

    def tried(stages, *arguments):
        asked.append(arguments)
        return iter(())

    monkeypatch.setattr("toy.falsifier.falsify.falsify", tried)
    (tmp_path / "mine.py").write_text(MINE)
    command = ["verify", "--schedule", f"{tmp_path / 'mine.py'}:mine", "--quiet"]
    assert main([*command, "--examples", "3", "--seed", "7"]) == main(command) == 0
    assert asked == [(3, 7), (50, 0)]


def test_what_was_not_tried_is_told_and_written_and_a_mistake_is_told_once(
    monkeypatch, tmp_path, capsys
):
    def fallen(claim):
        off = Explanation("alpha", 0.5, 2.0, 3.0, mistake="the sign")
        evidence = Evidence(claim, "0", "exact", 1, 1.0, 0.5, explanations=(off, off))
        return Verdict("says", evidence, ())

    found = [fallen("first"), NotTried(3, "of this"), fallen("second"), fallen("third")]
    monkeypatch.setattr("toy.falsifier.falsify.falsify", lambda *_: iter(found))
    mine, out = tmp_path / "mine.py", tmp_path / "report.json"
    mine.write_text(MINE)
    assert main(["verify", "--schedule", f"{mine}:mine", "--json", str(out), "--quiet"]) == 1
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line.startswith("likely")] == [
        "likely mistake: the sign", *2 * ["likely mistake: as of first"],
    ]  # fmt: skip
    assert lines.count("alpha at t = 0.5: expected 2, got 3, ratio 1.5") == 1
    assert "not tried: 3 claims, as of this" in lines
    report = json.loads(out.read_text())
    assert report["not_tried"] == [{"count": 3, "why": "of this", "or_more": False}]
    assert [claim["id"] for claim in report["claims"]] == ["first", "second", "third"]


def test_a_report_is_not_written_over_what_is_brought(tmp_path):
    mine, report = tmp_path / "mine.py", tmp_path / "report.json"
    mine.write_text(MINE)
    report.symlink_to(mine)
    with pytest.raises(InputError, match="another place than the input"):
        main(["verify", "--schedule", f"{mine}:mine", "--json", str(report), "--examples", "1"])
    assert mine.read_text() == MINE


@pytest.mark.parametrize("command", [verify_command, plots])
def test_the_help_of_an_option_tells_its_default(command):
    commands = argparse.ArgumentParser().add_subparsers()
    command.add(commands)
    (parser,) = commands.choices.values()
    told = {a.dest: re.search(r"\((\d+)\)$", a.help or "") for a in parser._actions}
    told = {name: int(found[1]) for name, found in told.items() if found}
    assert told == {name: parser.get_default(name) for name in told} != {}


SOME_AT_ONCE = ["--examples", "100", "--only", "debiasing,transitions,conversion", "--quiet"]


OTHER_MODULES = "import scipy.stats, real.checkpoints.loading, real.experiments.estimator_study"


def written(out, *arguments, first="", hash_seed="0"):
    """The verdicts of some claims, from a program of its own that imports something first."""
    code = f"{first}\nimport sys\nfrom toy.__main__ import main\nmain(sys.argv[1:])"
    command = ["-c", code, "verify", *SOME_AT_ONCE, "--json", str(out), *arguments]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True)
    return json.loads(out.read_text())["claims"]


def test_a_seed_fixes_the_cases_whatever_is_imported_and_in_how_many_processes(tmp_path):
    out = tmp_path / "verify.json"
    claims = written(out, "--jobs", "1")
    digests = {claim["id"]: claim["cases"] for claim in claims}
    assert list(digests) == ["transitions", "conversion", "debiasing"]
    assert [len(digest) for digest in digests.values()] == [16, 16, 0]
    assert claims == written(out, "--jobs", "1", first=OTHER_MODULES, hash_seed="1")
    assert claims == written(out, "--jobs", "2", first="import real")
    others = {claim["cases"] for claim in written(out, "--jobs", "1", "--seed", "1")}
    assert others & set(digests.values()) == {""}


def test_an_error_in_a_process_is_not_hidden():
    with pytest.raises(ValueError, match="not enough values to unpack"):
        list(parallel.verify_in_processes(["no claim of this id"], 5, 0, 1))


@pytest.mark.parametrize("cores", [1, 2, 64])
def test_by_default_a_process_per_core(monkeypatch, cores):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    assert default_jobs() == min(cores, 8)


def test_what_falls_is_shown_with_its_counterexample(monkeypatch, capsys):
    verify(monkeypatch, (FALLS, SURVIVED), "--examples", 200)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("FALLS  §0  claim-50")
    assert lines[1].split() == ["counterexample:", "50"]
    word, mutant, case, *error = lines[2].split()
    assert (word, mutant, error) == ("caught", "mutant-5:", ["error", "1"])
    assert 5 <= int(case.rstrip(",")) < 50
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
        run("python -m toy", main)
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
    monkeypatch.setattr(table, "ALL", (untried,))
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
    monkeypatch.setattr(table, "ALL", (HOLDS,))
    assert leave(monkeypatch, "verify", "--quiet", "--jobs", "1") == 0
    monkeypatch.setattr(table, "ALL", (FALLS,))
    assert leave(monkeypatch, "verify", "--quiet", "--jobs", "1") == 1


def test_errors_are_raised_to_callers():
    with pytest.raises(InputError, match="positive whole number"):
        main(["verify", "--examples", "0"])


SCORE = """
import os, signal, time
import torch
from theory.schedules import VPLinear
from toy import Diffusion, GaussianMixture

one, point = torch.ones(1).double(), torch.ones(1, 1).double()
mine = Diffusion(GaussianMixture.diagonal(one, point, point), VPLinear())
calls = 0

def score(x, t):
    global calls
    calls += 1
    a, s = mine.schedule.alpha(t)[:, None], mine.schedule.sigma(t)[:, None]
    {line}
    return -(x - a) / (a**2 + s**2)
"""


def verify_score(tmp_path, line):
    """The score with a line of its own, tried in a process."""
    (tmp_path / "mine.py").write_text(SCORE.replace("{line}", line))
    arguments = ["verify", "--model", "mine.py:score", "--examples", "1", "--quiet"]
    return subprocess.run(
        [sys.executable, "-m", "toy", *arguments], cwd=tmp_path, check=False, text=True,
        capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=300,
    )  # fmt: skip


def test_a_request_to_end_is_no_failure_of_the_users_code(tmp_path):
    """It comes while the user's code runs, which is then not asked again."""
    found = verify_score(tmp_path, "calls == 40 and os.kill(os.getpid(), signal.SIGTERM)")
    assert (found.returncode, found.stderr) == (143, "")


def test_slow_code_is_told_to_be_slow(tmp_path):
    found = verify_score(
        tmp_path, "calls == 1 and time.sleep(3); calls == 40 and os.kill(os.getpid(), 15)"
    )
    assert "note: a few calls of mine.py:score took 3 s; the claims need thousands" in found.stdout


def test_a_schedule_that_holds_a_square_is_told_so(tmp_path, capsys):
    lines = (
        "from theory.schedules import VPLinear",
        "class Mine(VPLinear):",
        "    def alpha(self, t):",
        "        return super().alpha(t) ** 2",
        "mine = Mine()",
    )
    (tmp_path / "mine.py").write_text("\n".join(lines))
    arguments = [
        "verify",
        "--schedule",
        f"{tmp_path / 'mine.py'}:mine",
        "--examples",
        "1",
        "--quiet",
    ]
    assert main(arguments) == 1
    assert capsys.readouterr().out.startswith("note: alpha(t) holds alpha^2 (alpha_bar)?")
