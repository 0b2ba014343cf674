"""Every reader of others' files, on well-formed files that are changed: it reads, or refuses in one line.

``make fuzz`` tries many more changes: FUZZ_EXAMPLES for each kind of file, from FUZZ_SEED on.
"""

import os
import shutil
import time
import warnings

import pytest
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.limits import SECONDS, within_limits
from tests.real.stored_networks import install_persistence
from tests.real.well_formed import checkpoints, images, results
from tests.theory.sampling.test_fit import fitted
from theory.support.errors import InputError, in_one_line

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))
MOST_CHANGES = 6
LONGEST = 1000
KINDS = (
    "torch zip", "torch zip, pickle", "torch legacy", "network pickle", "settings", "safetensors",
    "safetensors, header", "calibration", "calibration, header", "fitted solver",
    "fitted solver, header", "latents", "latents, header", "unet config", "scheduler config",
    "model index", "tokenizer", "encoder config", "manifest", "picture PNG", "picture JPEG",
    "picture BMP", "picture WEBP", "npz", "npz, array", "zip", "labels", "captions", "table", "groups",
    "statistics",
)  # fmt: skip
NUMBERS = (
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"9" * 30,
    b"4294967296",
    b"true",
)
"""What may stand in place of a number or a text in JSON."""


@pytest.fixture(scope="module")
def files(tmp_path_factory, digits_calibration):
    place = tmp_path_factory.mktemp("well-formed")
    fitted(("trajectory",), law=None).save(place / "solver.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        install_persistence(patch)
        found = {
            **checkpoints(), **results(digits_calibration, place / "solver.safetensors", place),
            **images(),
        }  # fmt: skip
    assert set(found) == set(KINDS)
    return found


PLACES = st.floats(0, 1, exclude_max=True) | st.sampled_from([0.0, 0.999999])
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["byte", "cut", "copy", "double", "zeros", "number"]),
        PLACES, PLACES, st.integers(0, 255),
    ),
    min_size=1, max_size=MOST_CHANGES,
)  # fmt: skip


def changed(content: bytes, changes, donors: list[bytes]) -> bytes:
    """The bytes after bytes were set, cut off, taken from other files, doubled, or set to zero."""
    for how, first, second, value in changes:
        at, length = int(first * len(content)), int(second * 40) + 1
        match how:
            case "byte":
                content = content[:at] + bytes([value]) + content[at + 1 :]
            case "cut":
                content = content[:at]
            case "copy":
                donor = donors[value % len(donors)]
                start = int(second * len(donor))
                content = content[:at] + donor[start : start + length] + content[at:]
            case "double":
                content = content[: at + length] + content[at:]
            case "zeros":
                content = content[:at] + bytes(length) + content[at + length :]
            case "number":
                content = content[:at] + NUMBERS[value % len(NUMBERS)] + content[at + value % 3 :]
    return content


def outcome(kind, file, content, folder):
    """What reading the changed file says; None if it is read."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, other in (*file.others.items(), (file.name, file.around(content))):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(other)
    begun = time.process_time()
    try:
        with torch.random.fork_rng(devices=[]):
            file.read(folder / file.name)
    except InputError as error:
        said = in_one_line(str(error))
        assert said and len(said) < LONGEST, (kind, said)
        return said
    finally:
        taken = time.process_time() - begun
        assert taken < 2 * SECONDS, (kind, taken)  # functions are checked at each call here
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_file_is_read_or_refused_in_one_line(tmp_path, files, kind):
    file, donors = files[kind], [other.part for other in files.values()]

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, print_blob=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(CHANGES)
    def read_or_refused(changes):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome(kind, file, changed(file.part, changes, donors), tmp_path / "x")

    outcome(kind, file, file.part, tmp_path / "x")
    with within_limits(kind, seconds=float("inf")):
        read_or_refused()


def test_the_fuzzer_would_see_an_error_of_another_kind(tmp_path, files):
    def careless(path):
        if path.read_bytes()[:1] != b"\x89":
            raise IndexError("as a careless reader does")

    file, change = files["picture PNG"], [("byte", 0.0, 0.0, 7)]
    content = changed(file.part, change, [b""])
    assert content[1:] == file.part[1:] and content[0] == 7
    with pytest.raises(IndexError):
        outcome("careless", type(file)(file.part, "x", careless), content, tmp_path / "x")
