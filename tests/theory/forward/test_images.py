"""Conditions stay with their images, through batches, budgets and held-out selection."""

import pytest
import torch

from theory.calibration.procedure import calibrate
from theory.calibration.validation import validate
from theory.diffusion.schedules import VPCosine
from theory.forward.fingerprints import image_ids
from theory.forward.images import Batch, ImageSet, take
from theory.forward.keyed_noise import keyed_noise
from theory.forward.survey import survey
from theory.statistics.neyman_allocation import Goal
from theory.support.errors import InputError

SCHEDULE = VPCosine()
TIMES = [0.2, 0.5, 0.8]
IMAGES = keyed_noise(0, "images", 0, 0, torch.arange(40), (1, 2, 2)).clamp(-1, 1)
LABELS = torch.arange(40) % 3
TEXTS = [str(label) for label in LABELS.tolist()]


def told_by_label(x_t, t, condition):
    """Predicts noise whose mean is the label, so that a label astray shows."""
    labels = torch.tensor([float(c) for c in condition], dtype=x_t.dtype)
    return x_t * 0 + labels[:, None, None, None]


def made(conditions, **options):
    return calibrate(
        told_by_label, SCHEDULE, images=IMAGES, times=TIMES, conditions=conditions, **options
    )


@pytest.mark.parametrize("conditions", [LABELS, TEXTS], ids=["labels", "texts"])
@pytest.mark.parametrize("size", [1, 7, 40])
def test_every_image_meets_its_own_condition(conditions, size):
    seen = []

    def network(x_t, t, condition):
        seen.append([float(c) for c in condition])
        return x_t * 0

    calibrate(network, SCHEDULE, images=IMAGES, times=[0.5], conditions=conditions, batch_size=size)
    told = [c for batch in seen for c in batch]
    assert told[-len(IMAGES) :] == LABELS.double().tolist(), "before come tries of other conditions"


class Encoded:
    """Images whose values are another time's: they say themselves who they are."""

    def __init__(self, images, ids):
        self.images, self.ids = images, ids

    def __iter__(self):
        return iter(self.images.split(7))


@pytest.mark.parametrize(("told", "left_out"), [(True, 30), (False, 0)])
def test_images_that_say_who_they_are_are_known_again(told, left_out):
    ids = torch.arange(40) if told else None
    first = Encoded(IMAGES[:30], None if ids is None else ids[:30])
    network = {"predict": lambda x_t, t: x_t * 0, "schedule": SCHEDULE}
    calibration = calibrate(**network, images=first, times=TIMES)
    found = validate(network["predict"], calibration, images=Encoded(IMAGES + 1e-6, ids))
    assert found.left_out == left_out


def test_too_few_identities_are_refused():
    with pytest.raises(InputError, match="one identity each, got 39"):
        list(ImageSet(Encoded(IMAGES, torch.arange(39))))


def test_labels_and_texts_give_one_answer():
    assert torch.equal(made(LABELS).shift, made(TEXTS).shift)


def test_a_shuffled_label_changes_the_answer():
    def network(x_t, t, condition):
        return x_t * condition[:, None, None, None].double()

    def shift(labels):
        return calibrate(network, SCHEDULE, images=IMAGES, times=TIMES, conditions=labels).eta_sq

    assert shift(LABELS) != shift(LABELS.flip(0))


def test_a_budget_keeps_images_and_conditions_together():
    pairs = {}

    def network(x_t, t, condition):
        for image, label in zip(x_t, condition.tolist(), strict=True):
            pairs.setdefault(label, []).append(image)
        return x_t * 0 + condition[:, None, None, None].double()

    found = calibrate(
        network, SCHEDULE, images=IMAGES, times=TIMES, conditions=LABELS,
        goal=Goal(evaluations=150),
    )  # fmt: skip
    assert sum(map(len, pairs.values())) == found.provenance["evaluations"]


def test_held_out_images_keep_their_conditions():
    calibration = calibrate(
        told_by_label, SCHEDULE, images=IMAGES[:20], times=TIMES, conditions=LABELS[:20]
    )
    mixed = validate(told_by_label, calibration, images=IMAGES, conditions=LABELS)
    seen = []

    def network(x_t, t, condition):
        seen.extend(condition.tolist())
        return told_by_label(x_t, t, condition)

    validate(network, calibration, images=IMAGES, conditions=LABELS)
    assert mixed.n == 20
    assert seen == LABELS[20:].tolist() * len(TIMES)


@pytest.mark.parametrize("count", [0, 39, 41])
def test_another_number_of_conditions_is_refused(count):
    with pytest.raises(InputError, match=f"expected one for each .*got {count}"):
        made(torch.zeros(count))


def test_batches_carry_conditions():
    parts = list(ImageSet(IMAGES, TEXTS, 16))
    assert [part.conditions for part in parts] == [TEXTS[:16], TEXTS[16:32], TEXTS[32:]]


def test_selection_by_mask_and_by_position_agree():
    batch = Batch(IMAGES, LABELS)
    by_mask, by_position = batch.select(LABELS == 1), batch.select(torch.arange(1, 40, 3))
    assert torch.equal(by_mask.images, by_position.images)
    assert by_mask.conditions.unique().tolist() == [1]
    assert take(None, torch.arange(3)) is None


@pytest.mark.parametrize("conditions", [LABELS, TEXTS, None], ids=["labels", "texts", "none"])
@pytest.mark.parametrize("told", [True, False], ids=["told", "of-values"])
def test_joined_batches_have_all_that_is_theirs(conditions, told):
    ids, groups = torch.arange(40), torch.arange(40) // 2
    images = Encoded(IMAGES, ids) if told else IMAGES
    found = Batch.joined(list(ImageSet(images, conditions, 7, groups)))
    assert torch.equal(found.images, IMAGES)
    assert torch.equal(found.ids, ids if told else image_ids(IMAGES))
    assert torch.equal(found.groups, groups)
    if conditions is None:
        assert found.conditions is None
    else:
        assert list(found.conditions) == list(conditions)


def test_a_survey_has_the_mean_of_all_images_and_who_they_are():
    images = torch.arange(24.0).reshape(4, 1, 2, 3)
    look = survey(ImageSet(images, batch_size=3))
    assert torch.equal(look.mean_image.mean, images.double().mean(0))
    assert (look.mean_image.count, look.count, look.effective) == (4, 4, 4)
    assert torch.equal(look.ids, image_ids(images)) and not look.clustered
    assert look.ranks.sort().values.tolist() == [0, 1, 2, 3]
