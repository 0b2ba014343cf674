"""Some images of a set, in full batches, with all that is theirs."""

import pytest
import torch

from theory.forward.chosen import chosen_images
from theory.forward.images import ImageSet
from theory.forward.survey import survey

GROUPS = torch.tensor([5, 5, 2, 7, 2, 9, 5, 11, 13, 13])
IMAGES = torch.arange(20.0).reshape(10, 2)
NAMES = list("abcdefghij")


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_chosen_images_keep_conditions_identities_and_groups(batch_size):
    whole = ImageSet(IMAGES, NAMES, batch_size, GROUPS)
    look, chosen = survey(whole), torch.isin(GROUPS, torch.tensor([5, 2]))
    some = chosen_images(whole, look, chosen)
    for _ in range(2):
        batches = list(some)
        assert torch.equal(torch.cat([b.images for b in batches]), IMAGES[chosen])
        assert [c for b in batches for c in b.conditions] == ["a", "b", "c", "e", "g"]
        assert torch.equal(torch.cat([b.ids for b in batches]), look.ids[chosen])
    units = survey(some).units.tolist()
    assert [unit == units[0] for unit in units] == [True, True, False, False, True]
    assert units[2] == units[3]


def test_chosen_images_come_in_full_batches():
    """Every third of 40 in batches of 7, two or three of each: 13."""
    images = torch.arange(40.0)[:, None]
    whole = ImageSet(images, batch_size=7)
    chosen = torch.arange(40) % 3 == 1
    batches = list(chosen_images(whole, survey(whole), chosen))
    assert [len(batch) for batch in batches] == [7, 6]
    assert torch.equal(torch.cat([batch.images for batch in batches]), images[chosen])
