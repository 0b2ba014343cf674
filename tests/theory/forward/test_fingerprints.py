"""Identities depend on everything that matters and on nothing else."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from theory.forward.fingerprints import fingerprint, image_ids, numbered

IMAGES = torch.arange(24, dtype=torch.float32).reshape(4, 2, 3) / 8


def test_equal_images_have_equal_ids_wherever_they_stand():
    ids = image_ids(IMAGES)
    assert ids.dtype == torch.int64
    assert torch.equal(image_ids(IMAGES[[2, 0, 2]]), ids[[2, 0, 2]])
    assert torch.equal(image_ids(IMAGES.mT.contiguous().mT), ids)
    assert len(ids.unique()) == 4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_ids_do_not_depend_on_a_dtype_that_holds_the_values(dtype):
    assert torch.equal(image_ids(IMAGES.to(dtype)), image_ids(IMAGES))


def test_values_that_a_dtype_cannot_hold_give_another_id():
    assert not torch.equal(image_ids((IMAGES / 3).bfloat16()), image_ids(IMAGES / 3))


@given(st.integers(0, 5), st.sampled_from([1e-6, 1.0, -3.0]))
def test_one_changed_pixel_changes_the_id(pixel, change):
    changed = IMAGES[:1].clone()
    changed.view(-1)[pixel] += change
    assert image_ids(changed).item() != image_ids(IMAGES[:1]).item()


def test_copies_are_numbered_apart_in_every_part_of_a_set():
    ids, before = image_ids(IMAGES[[0, 1, 0, 0, 1]]), Counter()
    whole = numbered(ids)
    assert torch.equal(whole[:2], ids[:2]) and len(whole.unique()) == 5
    assert torch.equal(torch.cat([numbered(ids[:3], before), numbered(ids[3:], before)]), whole)


def parts(**changed):
    named = {"weight": torch.ones(2, 3), "bias": torch.zeros(3)} | changed
    return list(named.items())


def test_a_fingerprint_does_not_depend_on_the_order_or_the_memory_layout():
    reference = fingerprint(parts(), "text")
    assert fingerprint(reversed(parts()), "text") == reference
    assert fingerprint(parts(weight=torch.ones(3, 2).mT), "text") == reference
    assert fingerprint(parts(bias=torch.zeros(3, requires_grad=True)), "text") == reference
    assert len(reference) == 32


CHANGES = {
    "value": lambda: fingerprint(parts(bias=torch.tensor([0.0, 0.0, 1e-7])), "text"),
    "shape": lambda: fingerprint(parts(weight=torch.ones(3, 2)), "text"),
    "dtype": lambda: fingerprint(parts(bias=torch.zeros(3, dtype=torch.int32)), "text"),
    "name": lambda: fingerprint([("weight", torch.ones(2, 3)), ("biases", torch.zeros(3))], "text"),
    "swapped names": lambda: fingerprint(
        [("bias", torch.ones(2, 3)), ("weight", torch.zeros(3))], "text"
    ),
    "more": lambda: fingerprint(parts(scale=torch.ones(())), "text"),
    "text": lambda: fingerprint(parts(), "texts"),
    "no text": lambda: fingerprint(parts()),
    "cut texts": lambda: fingerprint(parts(), "te", "xt"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_fingerprint_depends_on_everything_else(change):
    assert CHANGES[change]() != fingerprint(parts(), "text")


def test_fingerprints_of_every_change_differ_from_each_other():
    found = [make() for make in CHANGES.values()]
    assert len(set(found)) == len(found)


def test_an_empty_batch_leaves_identities_whole():
    images = torch.rand(3, 2, 2, generator=torch.Generator().manual_seed(0))
    joined = torch.cat([image_ids(images[:0]), image_ids(images)])
    assert joined.dtype == torch.int64
    assert torch.equal(joined, image_ids(images))
