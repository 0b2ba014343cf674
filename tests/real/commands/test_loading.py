"""What options ask of a network: every one of them reaches it."""

from pathlib import Path

from real.commands import loading
from tests.real.exact import exact_checkpoint


def test_each_branch_has_the_calibration_that_is_named_for_it(monkeypatch):
    checkpoint = exact_checkpoint("vp", null_condition=3)
    monkeypatch.setattr(loading, "calibrated_by", lambda _, file: file)
    monkeypatch.setattr(loading, "guided", lambda *given: lambda: given)
    files = Path("joint"), Path("null")
    assert loading.prediction_for(checkpoint, *files, 2.0)() == (*files, 3, 2.0)
