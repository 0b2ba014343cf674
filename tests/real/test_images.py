"""Image sources: the split of the digits, folders, npz files, and what is refused."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from real.images import digits, open_images
from theory.errors import InputError
from theory.identity import image_ids

ROLES = ("training", "calibration", "held-out")


def test_digits_split_is_whole_and_disjoint():
    ids = {role: set(image_ids(digits(role)).tolist()) for role in ROLES}
    assert sum(len(part) for part in ids.values()) == 1797
    assert all(not ids[a] & ids[b] for a, b in itertools.combinations(ROLES, 2))


def test_digits_lie_in_range():
    images = digits("training")
    assert images.shape == (1000, 1, 8, 8)
    assert images.min() == -1
    assert images.max() == 1


def test_npz_and_folder_give_the_same_images(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 12, 3), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=pixels)
    folder = tmp_path / "folder"
    folder.mkdir()
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{i}.png")
    shape = (3, 16, 12)
    from_npz = open_images(str(tmp_path / "images.npz"), "held-out", shape, batch_size=2)
    from_folder = open_images(str(folder), "held-out", shape, batch_size=3)
    assert torch.equal(torch.cat(list(from_npz)), torch.cat(list(from_folder)))
    expected = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1
    assert torch.allclose(torch.cat(list(from_npz)), expected, atol=1e-6)


def test_limit_takes_the_first(tmp_path):
    images = np.linspace(-1, 1, 6 * 4, dtype=np.float32).reshape(6, 1, 2, 2)
    np.savez(tmp_path / "f.npz", images=images)
    source = open_images(str(tmp_path / "f.npz"), "calibration", (1, 2, 2), limit=3)
    assert len(source) == 3
    assert torch.equal(torch.cat(list(source)), torch.from_numpy(images[:3]))


def _npz(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((5, 4, 4), np.uint8)}, "takes images of shape"),
        ({"images": np.full((5, 1, 8, 8), 1.5, np.float32)}, r"in \[-1, 1\]"),
        ({"images": np.full((5, 1, 8, 8), np.nan, np.float32)}, r"in \[-1, 1\]"),
        ({"images": np.zeros((5, 1, 8, 8), np.int64)}, "expected uint8"),
        ({"pixels": np.zeros((5, 8, 8), np.uint8)}, "expected an array 'images'"),
        ({"images": np.zeros((1, 8, 8), np.uint8)}, "at least two"),
        ({"images": np.zeros((0, 8, 8), np.uint8)}, "at least two"),
        ({"images": np.array([{}, {}])}, "cannot be read"),
    ],
)
def test_bad_npz_is_refused(tmp_path, arrays, message):
    reference = _npz(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match=message):
        open_images(reference, "calibration", (1, 8, 8))


def test_what_is_no_data_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("not an archive")
    (tmp_path / "empty").mkdir()
    for reference, message in (
        (str(tmp_path / "text.npz"), "cannot be read"),
        (str(tmp_path / "nothing"), "expected 'digits', a folder"),
        (str(tmp_path / "empty"), "at least two"),
    ):
        with pytest.raises(InputError, match=message):
            open_images(reference, "calibration", (1, 8, 8))


def test_folder_refuses_other_sizes_and_broken_files(tmp_path):
    for i in range(2):
        Image.new("L", (8, 8)).save(tmp_path / f"{i}.png")
    source = open_images(str(tmp_path), "calibration", (1, 8, 8))
    Image.new("L", (9, 8)).save(tmp_path / "1.png")
    with pytest.raises(InputError, match="got 9x8"):
        list(source)
    (tmp_path / "1.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(InputError, match="cannot be read as an image"):
        list(source)
