"""Moments of images: the mean is of all, and of very many some alone are kept for the rest."""

import torch

from tests.draws import normal
from tests.refusals import refusal
from theory.sampling import data_law
from theory.sampling.data_law import DataLaw


def test_of_more_images_than_there_is_room_for_the_first_are_kept(monkeypatch):
    monkeypatch.setattr(data_law, "MOST_NUMBERS", 6 * 10 + 3)
    images = normal(0, 25, 1, 2, 3) + 1
    law = DataLaw.of(iter(images.split(4)))
    assert (law.count, law.dimension) == (25, 6)
    assert torch.allclose(law.mean, images.mean(0))
    assert torch.equal(law.images, images[:10].flatten(1))


def test_directions_are_leading_eigenvectors_of_the_covariance():
    images = normal(1, 40, 3) * torch.tensor([3.0, 1.0, 0.1]).double()
    law = DataLaw.of([images])
    values, vectors = torch.linalg.eigh(images.T.cov())
    assert torch.allclose(law.eigenvalues, values.flip(0))
    assert torch.allclose((law.covariance_factor @ vectors.flip(1)).abs(), torch.eye(3).double())


def test_one_image_is_refused():
    with refusal("images: expected at least two, got 1"):
        DataLaw.of([normal(0, 1, 3)])
