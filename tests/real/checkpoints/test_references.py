"""Names that can only be wrong are refused at once, and before any heavy library is loaded."""

import subprocess
import sys

from real.checkpoints import require_known
from tests.refusals import refusal


def test_names_that_can_only_be_wrong_are_refused(tmp_path):
    for reference, said in (
        ("digit", r"expected 'digits', .* or a Hub id, got 'digit'; did you mean digits\?$"),
        ("ddpm-cifar1", r"did you mean ddpm-cifar10\?$"),
        ("nowhere", r"got 'nowhere'$"),
        ("./a/folder", r"got './a/folder'$"),
        ("/a/folder", r"got '/a/folder'$"),
        ("x" * 5000, "expected 'digits'"),
        ("runs/model.ckpt", r"got 'runs/model.ckpt': no such file$"),
        (f"{tmp_path}/mine.py:net", f"^checkpoint: no file {tmp_path}/mine.py$"),
        (__file__, rf"^checkpoint: expected {__file__}:NAME, the name of the network"),
        ("ddim-celeba", r"is fetched by hand: save it from https://\S+, then name the file$"),
    ):
        with refusal(said, reference):
            require_known(reference)


def test_names_that_may_be_right_are_let_pass(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("model.ckpt", "mine.py"):
        (tmp_path / name).touch()
    for reference in ("digits", "edm-ffhq64", ".", "model.ckpt", "mine.py:net", "google/ddpm"):
        require_known(reference)


CHECK = """
import sys
from real.checkpoints import require_known
from real.checkpoints.registry import REGISTRY
assert REGISTRY
require_known("digits")
heavy = {"torch", "numpy", "diffusers", "huggingface_hub", "scipy"} & set(sys.modules)
assert not heavy, heavy
"""


def test_neither_the_list_nor_the_check_loads_a_heavy_library():
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
