"""The sums that gains are made of: products about centres, whatever the batches are."""

import pytest
import torch

from theory.estimators.affine_sums import AffineSums
from theory.forward.forward_pass import GROUPS, Observation
from theory.forward.keyed_noise import keyed_noise
from theory.statistics.image_bases import (
    by_dct_coefficient,
    by_dct_octave,
    by_pixel,
    dct,
    undivided,
)

SHAPE, IMAGES = (1, 4, 4), 40
DIVISIONS = [way(SHAPE) for way in (undivided, by_pixel, by_dct_octave, by_dct_coefficient)]
WAYS = pytest.mark.parametrize("cells", DIVISIONS, ids=lambda cells: cells.name)


def draw(purpose, *shape):
    return keyed_noise(0, purpose, 0, 0, torch.arange(shape[0]), tuple(shape[1:]))


def seen(first, last):
    group = torch.arange(first, last) % (GROUPS - 1)
    x_0, e, y = (draw(name, IMAGES, 2, *SHAPE)[first:last] for name in ("x", "e", "y"))
    return Observation(0, group, x_0[:, 0], e.swapaxes(0, 1), y.swapaxes(0, 1), 0.2, 0.9, 0.8, 0.6)


def summed(*ends):
    sums = AffineSums(SHAPE)
    for first, last in zip((0, *ends), (*ends, IMAGES), strict=True):
        sums.add_(seen(first, last))
    return sums


@WAYS
def test_products_about_centres_are_those_of_a_direct_computation(cells):
    everything, centres = seen(0, IMAGES), draw("centres", 3, 16)
    values = [v.flatten(2) for v in (everything.x_t, everything.prediction, everything.residual)]
    turn = (lambda v: dct(v, SHAPE)) if cells.cosine else (lambda v: v)
    x, y, r = (turn(v - c) for v, c in zip(values, centres, strict=True))
    found = summed().centred(centres, cells)
    for g in range(GROUPS - 1):
        chosen = everything.group == g
        for k, (u, v) in enumerate(((x, x), (x, y), (y, y), (x, r), (y, r), (r, r))):
            direct = torch.zeros(cells.count, dtype=torch.float64)
            direct.index_add_(0, cells.index, (u * v)[:, chosen].mean((0, 1)))
            assert torch.allclose(found[g, k], direct, atol=1e-10)
    assert not found[-1].any()


@WAYS
def test_batches_change_nothing(cells):
    centres = draw("centres", 3, 16)
    once, thrice = summed(), summed(7, 25)
    assert torch.allclose(once.centred(centres, cells), thrice.centred(centres, cells), atol=1e-12)
    assert torch.equal(once.draws, thrice.draws)
    assert torch.allclose(once.means(), thrice.means(), atol=1e-12)


def test_means_are_those_of_each_group():
    everything, found = seen(0, IMAGES), summed().means()
    values = (everything.x_t, everything.prediction, everything.residual)
    for g in range(GROUPS - 1):
        direct = [v.flatten(2)[:, everything.group == g].mean((0, 1)) for v in values]
        assert torch.allclose(found[g], torch.stack(direct), atol=1e-12)
    assert not found[-1].any()
