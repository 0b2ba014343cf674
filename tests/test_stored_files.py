"""Files that earlier versions wrote are read, and do what they did.

The files in ``stored/`` were written by the code of their day, and ``expected.json`` by the same code:
what each calibration subtracts, and where the fitted solver leads.
"""

import json
from pathlib import Path

import pytest
import torch

from real.compress.repaired_folder import restored
from real.families import own_code
from theory import Calibration, FittedSolver, InputError

STORED = Path(__file__).parent / "stored"
EXPECTED = json.loads((STORED / "expected.json").read_text())
CALIBRATIONS = [name for name in EXPECTED if "calibration" in name]
X_T = torch.linspace(-1, 1, 32).reshape(2, 1, 4, 4)
TIMES, LABELS = torch.tensor([0.3, 0.65]), torch.tensor([0, 1])


def require_as_then(name, found):
    expected = torch.tensor(EXPECTED[name]).double().reshape(found.shape)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_a_stored_calibration_subtracts_what_it_did(name):
    calibration = Calibration.load(STORED / name)
    require_as_then(name, calibration.correction(X_T, TIMES, 0.7 * X_T + 0.4, LABELS))


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_a_stored_calibration_is_written_in_the_format_of_now(name, tmp_path):
    first = Calibration.load(STORED / name)
    first.save(tmp_path / "again.safetensors")
    again = Calibration.load(tmp_path / "again.safetensors")
    assert repr(again) == repr(first)
    require_as_then(name, again.correction(X_T, TIMES, 0.7 * X_T + 0.4, LABELS))


def test_what_older_calibrations_lack_is_not_made_up():
    first = Calibration.load(STORED / "calibration-2-first.safetensors")
    assert (first.slopes, first.class_shift, first.mean_image, first.exact) == (None,) * 4
    assert first.line_check == () and first.doubts == ()
    five = Calibration.load(STORED / "calibration-2-line-check.safetensors")
    assert five.line_check == () and five.mean_image is not None
    exact = Calibration.load(STORED / "calibration-2-exact.safetensors")
    assert exact.certainty == "exact"


def test_a_stored_fitted_solver_leads_where_it_did():
    name = "fitted-solver-1.safetensors"
    solver = FittedSolver.load(STORED / name)
    assert solver.parts == ("start", "trajectory", "marginals")
    u, data = solver.begin(X_T.double()), []
    for i in range(len(solver.base)):
        data.append(solver.clipped(0.5 * u + 0.1))
        u = solver.step(i, u, data)
    require_as_then(name, u)


def test_a_stored_repaired_network_is_restored():
    with torch.random.fork_rng(devices=[]):
        original, whole = (
            own_code.load(f"{STORED / 'tiny_network.py'}:network", "cpu") for _ in "ab"
        )
    network = restored(STORED / "repaired-1", original)
    found = network.predict(X_T, TIMES) - whole.predict(X_T, TIMES)
    assert 0 < found.abs().max() < 0.4 / 7 * 9, "rounded to 4 bits, and to no fewer"
    calibration = Calibration.load(STORED / "repaired-1" / "calibration.safetensors")
    assert calibration.provenance["fingerprint"] == network.fingerprint


def test_a_file_of_version_1_is_refused_in_one_line(tmp_path):
    content = (STORED / "calibration-2-first.safetensors").read_bytes()
    older = tmp_path / "older.safetensors"
    older.write_bytes(content.replace(b"calibration 2", b"calibration 1"))
    with pytest.raises(
        InputError, match=r"no calibration of format 'diffusion-martingale cal.* 2'"
    ):
        Calibration.load(older)
