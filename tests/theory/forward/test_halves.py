"""Two parts of the images: no unit is on both sides, and those that judge are independent."""

import pytest
import torch

from theory.forward.fingerprints import image_ids
from theory.forward.halves import chosen_images, first_of_each, two_halves
from theory.forward.images import ImageSet
from theory.support.errors import InputError

UNITS = torch.tensor([5, 5, 2, 7, 2, 9, 5, 11, 13, 13])


def test_no_unit_is_on_both_sides():
    makes, judges = two_halves(UNITS, 0)
    assert not torch.isin(UNITS[makes], UNITS[judges]).any()
    assert len(UNITS[judges].unique()) == len(UNITS[judges]) == 3
    assert set(UNITS[makes].tolist()) | set(UNITS[judges].tolist()) == set(UNITS.tolist())
    assert int(makes.sum()) == int(torch.isin(UNITS, UNITS[makes]).sum())


def test_the_seed_draws_the_halves():
    parts = [two_halves(UNITS, seed)[0].tolist() for seed in range(10)]
    assert parts[0] == two_halves(UNITS, 0)[0].tolist()
    assert len({tuple(part) for part in parts}) > 1


def test_the_first_of_each_unit():
    assert UNITS[first_of_each(UNITS)].tolist() == [5, 2, 7, 9, 11, 13]


def test_too_few_units_are_refused():
    with pytest.raises(InputError, match="expected at least four different ones, got 3"):
        two_halves(torch.tensor([1, 1, 2, 3]), 0)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_chosen_images_keep_conditions_and_identities(batch_size):
    images, chosen = torch.arange(20.0).reshape(10, 2), UNITS == 5
    whole = ImageSet(images, list("abcdefghij"), batch_size)
    some = chosen_images(whole, chosen, UNITS)
    for _ in range(2):
        batches = list(some)
        assert torch.equal(torch.cat([b.images for b in batches]), images[chosen])
        assert [c for b in batches for c in b.conditions] == ["a", "b", "g"]
        assert torch.cat([b.ids for b in batches]).tolist() == [5, 5, 5]
    assert not torch.isin(image_ids(images), UNITS).any()
