"""The faults of ``make mutants`` still apply to the code, and the program tells their fates apart."""

import importlib
from collections import Counter

import pytest

from tests import mutants
from tests.mutants import ROOT, Copies, Fault, all_faults
from tests.source_code import require_none

FAULTS = all_faults()
LEAST, LEAST_IN_SAMPLING = 120, 30


def module_of(fault):
    """The dotted name of the module that a fault is in."""
    return fault.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def test_there_are_as_many_faults_as_promised_and_each_has_its_own_id():
    assert len(FAULTS) >= LEAST
    assert sum(f.file.startswith("theory/sampling/") for f in FAULTS) >= LEAST_IN_SAMPLING
    assert [i for i, n in Counter(f.id for f in FAULTS).items() if n > 1] == []


def test_every_fault_applies_and_leaves_its_file_importable():
    wrong = {}
    for fault in FAULTS:
        name = module_of(fault)
        module = importlib.import_module(name)
        try:
            text = fault.applied((ROOT / fault.file).read_text())
            exec(compile(text, fault.file, "exec"), {"__name__": name, "__file__": module.__file__})
        except Exception as error:
            wrong[fault.id] = [repr(error)]
    require_none(wrong)


def test_every_fault_names_tests_that_exist():
    def missing(test):
        file, _, name = test.partition("::")
        path = ROOT / file
        return not path.exists() or f"def {name.partition('[')[0]}" not in _text(path)

    require_none({fault.id: list(filter(missing, fault.tests)) for fault in FAULTS})


def _text(path):
    return "def " if path.is_dir() else path.read_text()


@pytest.mark.parametrize("text", ["", "a = 1\na = 1\n"])
def test_a_fault_that_does_not_apply_once_is_refused(text):
    with pytest.raises(ValueError, match=r"x:y: expected its old text once in x\.py"):
        Fault("x:y", "x.py", "a = 1", "a = 2", ()).applied(text)


FATES = [
    ("return 3", "return 4", "test_three", "", "caught"),
    ("return 3", "return 2 + 1", "test_three", "", "survived"),
    ("return 3", "return 2 + 1", "test_three", "It is three.", "equivalent"),
    ("return 3", "return 4", "test_three", "It is three.", "disproved"),
    ("def three", "import no_such_module\n\n\ndef three", "test_three", "", "BROKEN"),
    ("return 3", "return 4", "test_of_another_name", "", "BROKEN"),
]


def test_the_fate_of_a_fault_is_told(tmp_path, monkeypatch):
    """On a small tree; where the code cannot be imported nothing has been caught."""
    tree, code = tmp_path / "tree", "def three():\n    return 3\n"
    tree.mkdir()
    (tree / "counted.py").write_text(code)
    (tree / "test_it.py").write_text(
        "from counted import three\n\n\ndef test_three():\n    assert three() == 3\n"
    )
    monkeypatch.setattr(mutants, "ROOT", tree)
    monkeypatch.setattr(mutants, "COPIED", ("counted.py", "test_it.py"))
    copies = Copies(tmp_path / "copies", 1)
    found = []
    for old, new, test, proof, _ in FATES:
        fault = Fault(f"counted:{new}", "counted.py", old, new, (f"test_it.py::{test}",), proof)
        found.append(copies.run(fault).status)
        assert (tmp_path / "copies" / "0" / "counted.py").read_text() == code
    assert found == [status for *_, status in FATES]
    assert (tree / "counted.py").read_text() == code
