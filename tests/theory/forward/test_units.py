"""Copies of an image, and images that belong together, are one unit wherever an error is told."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from tests.draws import normal
from tests.refusals import refusal
from theory.calibration import calibrate, validate
from theory.diffusion.schedules import VPCosine
from theory.estimators.control_variates import RESIDUAL
from theory.forward.fingerprints import image_ids
from theory.forward.forward_pass import GROUPS
from theory.forward.images import Batch, ImageSet, Unseen
from theory.forward.keyed_noise import keyed_noise
from theory.forward.near_copies import LIKENESS, SIDE, near_copies, thumbnails
from theory.forward.survey import survey
from theory.forward.units import units_of
from theory.statistics.intervals import Estimate
from theory.statistics.moments import Moments
from theory.statistics.neyman_allocation import Goal

SCHEDULE, SPREAD = VPCosine(), 0.5


def pictures(n, shape=(3, 16, 16), seed=0):
    """Smooth pictures with a little noise."""
    coarse = keyed_noise(seed, "coarse", 0, 0, torch.arange(n), (shape[0], 4, 4))
    smooth = torch.nn.functional.interpolate(coarse, size=shape[1:], mode="bilinear")
    return (smooth + 0.1 * keyed_noise(seed, "fine", 0, 0, torch.arange(n), shape)).float()


def units(images, groups=None):
    """Numbered again by their first images, which tells who goes with whom."""
    found = survey(ImageSet(images, groups=groups)).units.tolist()
    return [list(dict.fromkeys(found)).index(unit) for unit in found]


def test_copies_mirror_images_and_near_copies_are_one_unit():
    base = pictures(6)
    rounded = ((base * 20).round() / 20 + 0.01).float()
    for copy in (base, base.flip(3), rounded, 0.9 * base + 0.05):
        assert units(torch.cat([base, copy])) == [*range(6), *range(6)]
    assert units(torch.cat([base, base.flip(2)])) == list(range(12)), "upside down is another image"
    assert units(pictures(200, seed=3)) == list(range(200))


def test_all_channels_of_a_picture_count_alike():
    images = pictures(20, seed=4)
    grey = images.mean(1, keepdim=True)
    for other in (images.flip(1), images.roll(1, 1), grey, grey.expand(20, 3, 16, 16)):
        torch.testing.assert_close(thumbnails(other), thumbnails(images), rtol=0, atol=1e-3)
    assert units(torch.cat([images, torch.cat([images[:, :1], -images[:, 1:]], 1)])) == list(
        range(40)
    )


def test_the_first_of_each_unit_is_that_of_least_rank_in_any_order():
    images = pictures(30)
    several = torch.cat([images, images[5:20], images.flip(3)[:9], images[2:7]])
    for seed in range(3):
        found = survey(
            ImageSet(several[torch.randperm(59, generator=torch.Generator().manual_seed(seed))])
        )
        least = {u: min(found.ranks[found.units == u].tolist()) for u in range(found.effective)}
        assert found.ranks[found.firsts].sort().values.tolist() == sorted(least.values())


def test_near_copies_are_those_of_all_pairs(monkeypatch):
    """Also where strips, blocks and clusters are many: a chain of images, each like the next alone."""
    monkeypatch.setattr("theory.forward.near_copies.ROWS", 7)
    monkeypatch.setattr("theory.forward.near_copies.COLUMNS", 5)
    monkeypatch.setattr("theory.forward.near_copies.FULL", 1)
    some, turn = pictures(40, seed=5), torch.linspace(0, 0.6, 30)[:, None, None, None]
    chain = turn.cos() * some[:1] + turn.sin() * some[1:2]
    images = torch.cat([some, some[:20].flip(3), chain, chain[:15].flip(3), some[5:9]])
    small = thumbnails(images)
    exact = small.float().reshape(-1, 8, 8)
    similar = torch.maximum(
        *(torch.einsum("ihw,jhw->ij", v, exact) for v in (exact, exact.flip(2)))
    )
    alike = (similar > LIKENESS).numpy()
    count, expected = connected_components(alike, directed=False)
    pairs = near_copies(small, torch.arange(len(images)))
    links = coo_matrix((np.ones(len(pairs)), tuple(pairs.T)), shape=alike.shape)
    found_count, found = connected_components(links, directed=False)
    assert found_count == count < 60
    assert len(set(zip(expected.tolist(), found.tolist(), strict=True))) == count


def test_mirror_images_are_found_on_either_side_of_each_other(monkeypatch):
    """Along a second axis whose sign a mirror turns, both of a pair may lie above the other's mirror."""
    monkeypatch.setattr("theory.forward.near_copies.ROWS", 1)
    first, second, noise = normal(0, 40, 1, 1), normal(1, 40, 1, 1), normal(2, 80, 8, 8)
    across = torch.linspace(-1, 1, 8).double()
    small = 8 * first * across[:, None] + 4 * second * across
    small = torch.cat([small + noise[:40], (small + noise[:40]).flip(2)]) + 0.02 * noise.flip(0)
    small = small.flatten(1) - small.flatten(1).mean(1, keepdim=True)
    small = small / small.norm(dim=1, keepdim=True)
    pairs = {tuple(sorted(pair)) for pair in near_copies(small.float(), torch.arange(80)).tolist()}
    assert {(k, k + 40) for k in range(40)} <= pairs


def test_other_shapes_have_exact_copies_alone():
    for shape in ((4, 16, 16), (1, 4, 4), (16,)):
        base = keyed_noise(0, "x", 0, 0, torch.arange(5), shape)
        assert units(torch.cat([base, base])) == [*range(5), *range(5)]
        assert units(torch.cat([base, 1.0001 * base])) == list(range(10))


def test_flat_images_are_copies_only_where_they_are_equal():
    flat = torch.linspace(-1, 1, 5).reshape(5, 1, 1, 1).expand(5, 1, 8, 8)
    assert units(torch.cat([flat, flat[:2]])) == [0, 1, 2, 3, 4, 0, 1]
    assert not thumbnails(flat).any()


def test_groups_join_what_the_user_says_and_copies_join_groups():
    base = pictures(6)
    for groups in (["a", "b", "a", "c", "b", "d"], torch.tensor([5, 2, 5, 1, 2, 0])):
        assert units(base, groups) == [0, 1, 0, 2, 1, 3]
    joined = torch.cat([base[:3], base[2:3]])
    assert units(joined, ["a", "b", "c", "a"]) == [0, 1, 0, 0]
    for wrong in (["a"] * 5, ["a"] * 7, "abcdef"):
        with refusal("groups: expected one for each", wrong):
            units(base, wrong)


def test_units_are_numbered_by_their_least_identity_in_any_order():
    ids = torch.tensor([9, 4, 9, 7, 4, 1])
    assert units_of(ids, torch.zeros(6, 0)).tolist() == [3, 1, 3, 2, 1, 0]
    assert units_of(ids.flip(0), torch.zeros(6, 0)).tolist() == [0, 1, 2, 3, 1, 3]


def imperfect(x_t, t):
    """Exact for N(0, SPREAD^2), and wrong in a way that is another for every image, but not in the mean."""
    alpha, sigma = SCHEDULE.alpha(t)[:, None], SCHEDULE.sigma(t)[:, None]
    return sigma * x_t / (alpha**2 * SPREAD**2 + sigma**2) + 0.5 * torch.sin(3 * x_t.roll(1, 1))


def false_certificates(copies, runs=8, n=120, d=128, **options):
    found = 0
    for seed in range(runs):
        base = SPREAD * keyed_noise(seed, "images", 0, 0, torch.arange(n), (d,))
        images = base.repeat_interleave(copies, 0)
        made = calibrate(imperfect, SCHEDULE, images=images, times=[0.1, 0.5], seed=seed, **options)
        found += bool((made.certificates > 0).any())
    return found


def test_copies_make_nothing_certain(monkeypatch):
    """With eta = 0 each of 8 runs fails with probability 0.05 at most: more than 3 with 4e-4."""
    assert false_certificates(1) <= 3
    assert false_certificates(4) <= 3
    assert false_certificates(4, goal=Goal(evaluations=4000)) <= 3
    monkeypatch.setattr(
        "theory.forward.survey.units_of", lambda ids, small, groups: torch.arange(len(ids))
    )
    assert false_certificates(4) >= 6, "copies that are taken for independent images do"


def test_errors_of_a_calibration_are_those_of_its_units():
    base = SPREAD * keyed_noise(0, "images", 0, 0, torch.arange(160), (128,))
    once, copies = (
        calibrate(lambda x_t, t: 5 * x_t, SCHEDULE, images=images, times=[0.1], estimator=RESIDUAL)
        for images in (base, base.repeat_interleave(8, 0))
    )
    assert copies.error_energy > 0.6 * once.error_energy, "not an eighth"
    assert copies.eta_sq[0].lower < 0
    held_out = SPREAD * keyed_noise(0, "held-out", 0, 0, torch.arange(160), (128,))
    found = validate(lambda x_t, t: 5 * x_t, once, images=held_out.repeat_interleave(8, 0))
    assert found.eta_sq[0].lower < 0


def test_groups_of_the_user_make_nothing_certain_either():
    """Frames of a video: the same picture with a little noise of its own."""
    n, d, found, careless = 60, 128, 0, 0
    for seed in range(6):
        base = SPREAD * keyed_noise(seed, "images", 0, 0, torch.arange(n), (d,))
        frames = base.repeat_interleave(6, 0)
        frames = frames + 0.01 * keyed_noise(seed, "frames", 0, 0, torch.arange(6 * n), (d,))
        groups = torch.arange(n).repeat_interleave(6)
        for told in (groups, None):
            made = calibrate(imperfect, SCHEDULE, images=frames, times=[0.1, 0.5], groups=told)
            positive = bool((made.certificates > 0).any())
            found, careless = (
                found + (positive and told is not None),
                careless + (told is None and positive),
            )
    assert found <= 2
    assert careless >= 4


def clustered_moments(values, group):
    moments = Moments.empty((1,), GROUPS)
    moments.add_(group, values[:, None])
    return Moments(moments.count, moments.total, moments.square, clustered=True)


def test_errors_from_groups_are_unbiased_over_all_signs():
    """Six images in three groups, those of a group equal: every sign of each group is as likely."""
    group, mean = torch.tensor([0, 0, 1, 1, 2, 2]), 0.7
    squared, spread, truth = [], [], []
    for signs in product((-1.0, 1.0), repeat=3):
        values = mean + torch.tensor(signs, dtype=torch.float64)[group]
        moments = clustered_moments(values, group)
        squared.append(moments.squared_norm().value)
        spread.append(moments.error_energy())
        truth.append((values.mean().item() - mean) ** 2)
    assert sum(squared) / 8 == pytest.approx(mean**2)
    assert sum(spread) / 8 == pytest.approx(sum(truth) / 8)


def test_an_interval_of_units_is_that_of_their_means():
    values = keyed_noise(0, "x", 0, 0, torch.arange(50), (1,))[:, 0]
    once, copies = Estimate.of_mean(values), values.repeat_interleave(3)
    of_units = Estimate.of_mean(copies, torch.arange(50).repeat_interleave(3))
    assert of_units.value == pytest.approx(once.value)
    assert of_units.lower == pytest.approx(once.lower)
    narrow = Estimate.of_mean(copies)
    assert narrow.upper - narrow.lower < (once.upper - once.lower) / math.sqrt(2)
    assert Estimate.of_mean(values, torch.arange(50)) == once


def test_validation_counts_units_and_leaves_out_mirror_images():
    base = pictures(30, (1, 8, 8))
    predict = lambda x_t, t: 0.9 * x_t  # noqa: E731
    made = calibrate(predict, SCHEDULE, images=base[:10], times=[0.5])
    held_out = torch.cat([base[10:], base[10:].flip(3), base[:4], base[4:10].flip(3)])
    found = validate(predict, made, images=held_out)
    assert (found.n, found.independent, found.left_out) == (40, 20, 10)
    once = validate(predict, made, images=base[10:])
    assert once.independent == once.n == 20
    one = validate(predict, made, images=base[10:], groups=[0] * 10 + [1] * 10)
    assert one.independent == 2
    seen = Unseen(ImageSet(base[:4]), image_ids(base[:2]), (1, 8, 8))
    assert sum(map(len, seen)) == 2


def test_a_mirror_image_is_left_out_unless_it_has_an_identity_of_its_own():
    base = pictures(4, (1, 8, 8))
    for ids, kept in ((None, 2), (torch.arange(4), 4)):
        mirrored = [Batch(base.flip(-1), given_ids=ids)]
        assert sum(map(len, Unseen(mirrored, image_ids(base[:2]), (1, 8, 8)))) == kept


def test_what_is_distinct_is_dealt_out_as_ever():
    made = calibrate(
        imperfect,
        SCHEDULE,
        images=torch.eye(40, 16).double() + torch.arange(40)[:, None],
        times=[0.5],
    )
    assert "independent" not in made.provenance
    copies = torch.ones(40, 16).double() * (torch.arange(40) // 2)[:, None]
    assert (
        calibrate(imperfect, SCHEDULE, images=copies, times=[0.5]).provenance["independent"] == 20
    )


def test_images_that_are_alike_along_the_principal_axes_alone_are_not_copies():
    """Two that differ only where hardly any other image varies: close in the search, and not alike."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.zeros(300, SIDE * SIDE)
    spread[:, :2] = torch.randn(300, 2, generator=generator)
    small = spread / spread.norm(dim=1, keepdim=True)
    small[1], small[2] = 0.9 * small[0], 0.9 * small[0]
    small[1, 2], small[2, 2] = 0.19**0.5, -(0.19**0.5)
    units = units_of(torch.arange(300), small)
    assert units[1] != units[2]
    small[2] = small[1]
    again = units_of(torch.arange(300), small)
    assert again[1] == again[2]
