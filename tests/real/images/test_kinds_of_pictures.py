"""Pictures as users have them: turned, transparent, in subfolders, among other files."""

import numpy as np
import pytest
import torch
from PIL import Image

from real.images.opening import open_images
from real.images.pixels import fitted
from tests.refusals import refusal

SHAPE = (1, 8, 8)
HALF = np.repeat(np.array([[0], [255]], np.uint8), 4, 0).repeat(8, 1)
"""Dark above, bright below."""


def opened(path, shape=SHAPE):
    return open_images(str(path), "calibration", shape)


def test_a_picture_is_turned_as_its_camera_says(tmp_path):
    for orientation, expected in ((1, HALF), (3, HALF[::-1]), (6, HALF.T[:, ::-1]), (8, HALF.T)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for k in range(2):
            Image.fromarray(HALF).save(tmp_path / f"{k}.png", exif=exif)
        (image, _) = next(iter(opened(tmp_path)))
        found = ((image[0] + 1) * 127.5).round().numpy().astype(np.uint8)
        assert np.array_equal(found, expected), orientation


def test_every_mode_follows_one_rule():
    """What is transparent lies on white, 16 bits become 8, all else is converted or refused."""
    clear = Image.fromarray(np.stack([HALF, HALF, HALF, HALF], 2))  # transparent where it is dark
    assert (fitted(clear, SHAPE) == 255).all()
    grey = Image.fromarray(np.stack([HALF, HALF], 2), "LA")
    assert (fitted(grey, (3, 8, 8)) == 255).all()
    palette = Image.fromarray(HALF).convert("P")
    assert np.array_equal(fitted(palette, SHAPE)[..., 0], HALF)
    palette.info["transparency"] = 0
    assert (fitted(palette, SHAPE) == 255).all()
    deep = Image.fromarray(HALF.astype(np.uint16) * 257)
    assert deep.mode == "I;16"
    assert np.array_equal(fitted(deep, SHAPE)[..., 0], HALF)
    bits = Image.fromarray(HALF).convert("1")
    assert np.array_equal(fitted(bits, SHAPE)[..., 0], HALF)
    for mode in ("I", "F"):
        with refusal("8 or 16 bits per channel, got mode " + mode, mode):
            fitted(Image.new(mode, (8, 8)), SHAPE)


@pytest.fixture
def folder(tmp_path):
    for name in ("cats/1", "cats/2", "ants/1", "dogs/9"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8), len(name), np.uint8)).save(path)
    return tmp_path


def test_subfolders_are_classes_and_it_is_said(folder):
    source = opened(folder)
    assert source.labels.tolist() == [0, 1, 1, 2]
    assert source.notes == (
        f"{folder}: labels are the subfolders in their order: ants, cats, dogs",
    )
    (folder / "cats" / "more").mkdir()
    Image.fromarray(HALF).save(folder / "cats" / "more" / "3.png")
    assert (opened(folder).labels, opened(folder).notes) == (None, ())
    assert opened(folder / "cats").labels is None


@pytest.mark.parametrize(
    ("count", "said"), [(5, "0, 1, 2, 3, 4"), (6, "0, 1, 2, 3, 4 ... (6 of them)")]
)
def test_five_classes_are_named_and_of_more_the_first(tmp_path, count, said):
    for name in range(count):
        (tmp_path / str(name)).mkdir()
        Image.fromarray(HALF).save(tmp_path / str(name) / "1.png")
    assert opened(tmp_path).notes == (
        f"{tmp_path}: labels are the subfolders in their order: {said}",
    )


def test_skipped_files_are_counted_and_named(folder):
    for name in ("cats/1.tif", "cats/2.TIF", "readme", ".hidden"):
        (folder / name).write_bytes(b"x")
    (skipped, _) = opened(folder).notes
    assert skipped.endswith(
        "3 files are no pictures and were skipped (2 .tif, 1 without a suffix), first cats/1.tif"
    )


def test_a_table_says_which_images_there_are(folder):
    table = folder / "metadata.csv"
    table.write_text("file_name,label\ndogs/9.png,2\nants/1.png,7\n")
    assert opened(folder).labels.tolist() == [2, 7]
    assert len(opened(folder)) == 2
    table.write_text('file_name,text\ndogs/9.png,"a dog, lying"\nants/1.png,an ant\n')
    assert opened(folder).labels == ["a dog, lying", "an ant"]
    for text, said in (
        ("", "columns file_name and text or label in .*, got none"),
        ("file_name,what\ndogs/9.png,2\n", "got file_name, what"),
        ("file_name,label\ndogs/9.png,two\nants/1.png,1\n", "whole numbers as label"),
        ("file_name,label\n../x.png,2\nants/1.png,1\n", "line 2 of .* names no file below"),
    ):
        table.write_text(text)
        with refusal(said, text):
            opened(folder)


def test_samples_of_guided_diffusion_are_understood(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "samples.npz", images, np.arange(5))
    source = opened(tmp_path / "samples.npz", (3, 8, 8))
    assert source.labels.tolist() == list(range(5))
    assert torch.equal(
        ((source.load([4])[0] + 1) * 127.5).round(),
        torch.tensor(images[4]).permute(2, 0, 1).float(),
    )
    np.savez(tmp_path / "samples.npz", images)
    assert opened(tmp_path / "samples.npz", (3, 8, 8)).labels is None
