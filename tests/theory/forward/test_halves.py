"""Two parts of the images: no unit is on both sides, and those that judge are independent."""

import torch

from tests.refusals import refusal
from theory.forward.halves import two_halves
from theory.forward.images import ImageSet
from theory.forward.survey import survey

GROUPS = torch.tensor([5, 5, 2, 7, 2, 9, 5, 11, 13, 13])
IMAGES = torch.arange(20.0).reshape(10, 2)


def whole(batch_size=3):
    return ImageSet(IMAGES, list("abcdefghij"), batch_size, GROUPS)


def test_no_unit_is_on_both_sides():
    makes, judges = two_halves(survey(whole()), 0)
    assert not torch.isin(GROUPS[makes], GROUPS[judges]).any()
    assert len(GROUPS[judges].unique()) == len(GROUPS[judges]) == 3
    assert set(GROUPS[makes].tolist()) | set(GROUPS[judges].tolist()) == set(GROUPS.tolist())
    assert int(makes.sum()) == int(torch.isin(GROUPS, GROUPS[makes]).sum())


def test_copies_and_mirror_images_are_on_one_side():
    picture = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    images = torch.cat([picture, picture.flip(-1), picture])
    for seed in range(5):
        makes, judges = two_halves(survey(ImageSet(images)), seed)
        assert torch.equal(makes[:6], makes[6:12]) and torch.equal(makes[:6], makes[12:])
        assert int(judges.sum()) == 3


def test_the_seed_draws_the_halves():
    look = survey(whole())
    parts = [two_halves(look, seed)[0].tolist() for seed in range(10)]
    assert parts[0] == two_halves(look, 0)[0].tolist()
    assert len({tuple(part) for part in parts}) > 1


def test_too_few_units_are_refused():
    look = survey(ImageSet(IMAGES[:4], groups=[1, 1, 2, 3]))
    with refusal("expected at least four different ones, got 3"):
        two_halves(look, 0)
    makes, judges = two_halves(survey(ImageSet(IMAGES[:4])), 0)
    assert (int(makes.sum()), int(judges.sum())) == (2, 2)
