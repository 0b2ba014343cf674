"""Mutation testing: put one fault after another into a copy of the tree, and see tests fail.

``python -m tests.mutants [--jobs N] [--only ID ... | --rest]``

A fault is a text of a file and what stands there instead, in the tables tests/faults/*.toml, with the
tests that name the code. A fault is

    caught      a test failed;
    survived    none did;
    equivalent  none did, and the table proves that none can;
    disproved   a test failed, though the table proves that none can;
    timeout     the tests did not end;
    BROKEN      the code could not be imported, or the tests not be run: this catches nothing.

The tests pass without faults: that is tried first. Only the copies are changed, they lie in a temporary
folder, and nothing beside the checkout is at hand there. build/mutants.json has a row for each fault,
written as it comes; docs/mutants.json the totals, once every fault has a row.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import queue
import re
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "tests" / "faults"
ROWS = ROOT / "build" / "mutants.json"
TOTALS = ROOT / "docs" / "mutants.json"
COPIED = ("theory", "toy", "real", "tests", "docs", "pyproject.toml", "README.md", "Makefile")
TIMEOUT = 300.0
"""Seconds that the tests of one fault may take."""
LIBRARIES = [
    "torch",
    "scipy.stats",
    "scipy.integrate",
    "sympy",
    "hypothesis",
    "pytest",
    "beartype",
    "jaxtyping",
]
"""Loaded once: each run of tests is forked from a process that has them."""

FORKED = multiprocessing.get_context("forkserver")
FINE = {"caught", "equivalent"}
UNUSABLE = re.compile(
    r"^E +(?:ImportError|ModuleNotFoundError|SyntaxError|IndentationError|NameError)\b", re.M
)


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        id: file:name.
        file: relative to the root of the tree.
        old: a text that the file holds exactly once.
        new: what stands there instead.
        tests: arguments of pytest.
        proof: why no test can tell the two apart; empty if one can.
    """

    id: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    proof: str = ""

    def applied(self, text: str) -> str:
        """The text with the fault.

        Raises:
            ValueError: the old text does not occur exactly once.
        """
        if (found := text.count(self.old)) != 1:
            raise ValueError(f"{self.id}: expected its old text once in {self.file}, got {found}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Row:
    """What became of a fault."""

    id: str
    status: str
    seconds: float
    by: str = ""


def all_faults() -> list[Fault]:
    """The faults of every table."""
    return [fault for path in sorted(TABLES.glob("*.toml")) for fault in _of_table(path)]


def _of_table(path: Path) -> Iterator[Fault]:
    for file, entry in tomllib.loads(path.read_text()).items():
        for name, old, new, *own in entry["faults"]:
            tests = tuple(own or entry["tests"])
            proof = entry.get("equivalent", {}).get(name, "")
            yield Fault(f"{file.removesuffix('.py')}:{name}", file, old, new, tests, proof)


class Copies:
    """As many copies of the tree as there are processes; each is used by one at a time."""

    def __init__(self, folder: Path, count: int) -> None:
        self._free: queue.Queue[Path] = queue.Queue()
        self._stamps = itertools.count(int(time.time()))
        for k in range(count):
            self._free.put(_copy(folder / str(k)))

    def run(self, fault: Fault) -> Row:
        """Put the fault in, run its tests, and take it out again."""
        tree, started = self._free.get(), time.monotonic()
        path = tree / fault.file
        right = path.read_text()
        try:
            self._write(path, fault.applied(right))
            status, by = tested(tree, fault.tests)
        finally:
            self._write(path, right)
            self._free.put(tree)
        if fault.proof:
            status = {"survived": "equivalent", "caught": "disproved"}.get(status, status)
        return Row(fault.id, status, round(time.monotonic() - started, 1), by)

    def _write(self, path: Path, text: str) -> None:
        """At a time of its own: compiled code is told by the second and the size of its source."""
        path.write_text(text)
        os.utime(path, (stamp := next(self._stamps), stamp))


def _copy(tree: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis")
    tree.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=ignored)
        else:
            shutil.copy2(source, tree / name)
    return tree


def tested(
    tree: Path, tests: tuple[str, ...], limit: float | None = None, more: tuple[str, ...] = ()
) -> tuple[str, str]:
    """Whether the tests pass in this tree: the status of its fault, and the test that failed."""
    log = tree.with_suffix(".log")
    process = FORKED.Process(target=_pytest, args=(tree, log, (*more, *tests)))
    process.start()
    process.join(limit or TIMEOUT)
    if process.exitcode is None:
        os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
        return "timeout", ""
    if process.exitcode == 0:
        return "survived", ""
    said = log.read_text()
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", said, re.M)
    if process.exitcode != 1 or not failed or UNUSABLE.search(said):
        return "BROKEN", said[-400:]
    return "caught", failed[1]


def _pytest(tree: Path, log: Path, arguments: tuple[str, ...]) -> None:
    """Run pytest in a tree, in this process, which has the libraries but none of the project's modules."""
    os.setsid()
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "theory")]:
        del sys.modules[name]
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree)
    sys.path[:] = [str(tree), *(p for p in sys.path if Path(p or ROOT).resolve() != ROOT)]
    import pytest

    options = ["-x", "-q", "--tb=short", "-rfE", "-p", "no:cacheprovider"]
    sys.exit(pytest.main([*options, *arguments]))


def _known_rows() -> dict[str, Row]:
    if not ROWS.exists():
        return {}
    return {row["id"]: Row(**row) for row in json.loads(ROWS.read_text())}


def _totals(rows: dict[str, Row], faults: list[Fault]) -> dict[str, object]:
    counts = Counter(rows[fault.id].status for fault in faults)
    real = len(faults) - counts["equivalent"]
    return {
        "faults": len(faults),
        **dict(sorted(counts.items())),
        "caught_share": round(counts["caught"] / real, 4),
        "seconds": round(sum(rows[fault.id].seconds for fault in faults)),
        "survivors": sorted(f.id for f in faults if rows[f.id].status not in FINE),
        "rooms": dict(Counter("/".join(f.file.split("/")[:2]) for f in faults)),
    }


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def attack(chosen: list[Fault], jobs: int) -> dict[str, Row]:
    """Try the faults, print and write a row for each; all rows that are known."""
    rows = _known_rows()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        copies = Copies(Path(folder), jobs)
        for done in as_completed([pool.submit(copies.run, fault) for fault in chosen]):
            row = done.result()
            rows[row.id] = row
            _write(ROWS, [asdict(rows[name]) for name in sorted(rows)])
            print(f"{row.status:10} {row.seconds:6.1f} s  {row.id}  {row.by}", flush=True)
    return rows


def passes_without_faults(chosen: list[Fault], jobs: int) -> bool:
    """Whether the tests of the faults pass as long as there is none."""
    tests = tuple(sorted({test for fault in chosen for test in fault.tests}))
    with tempfile.TemporaryDirectory() as folder:
        parallel = (f"--numprocesses={jobs}", "--dist=loadfile")
        status, by = tested(_copy(Path(folder) / "0"), tests, 10 * TIMEOUT, parallel)
    if status != "survived":
        print(f"mutants: expected tests that pass without faults, got {status}: {by}")
    return status == "survived"


def main(arguments: list[str] | None = None) -> int:
    """Status 0 if every fault that was tried is caught or proven equivalent, 2 for bad arguments."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    some = parser.add_mutually_exclusive_group()
    some.add_argument("--only", nargs="+", metavar="ID", help="these, beginnings of ids will do")
    some.add_argument("--rest", action="store_true", help="those that have no row yet")
    given = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    FORKED.set_forkserver_preload(LIBRARIES)
    faults = all_faults()
    known = {fault.id for fault in faults}
    chosen = faults
    if given.only:
        unknown = [name for name in given.only if not any(i.startswith(name) for i in known)]
        if unknown:
            parser.error(f"--only: expected the beginning of a fault's id, got {unknown[0]}")
        chosen = [f for f in faults if f.id.startswith(tuple(given.only))]
    elif given.rest:
        chosen = [f for f in faults if f.id not in _known_rows()]
    for fault in chosen:
        fault.applied((ROOT / fault.file).read_text())
    if chosen and not passes_without_faults(chosen, given.jobs):
        return 2
    rows = attack(chosen, given.jobs) if chosen else _known_rows()
    if known <= rows.keys():
        _write(TOTALS, _totals(rows, faults))
        print(json.dumps(_totals(rows, faults)))
    return int(any(rows[fault.id].status not in FINE for fault in chosen))


if __name__ == "__main__":
    sys.exit(main())
