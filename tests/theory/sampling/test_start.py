"""The law of images and the start that is drawn from it: two images by hand."""

import torch

from theory.sampling.data_law import DataLaw
from theory.sampling.start import DataStart

FAR = torch.tensor(
    [[[3.0, 0.0]], [[-1.0, 0.0]], [[3.0, 0.0]], [[-1.0, 0.0]], [[1.0, 0.0]]]
).double()
LAW = DataLaw.of(iter(FAR.split(3)))
"""Five images of two pixels, mean (1, 0), variance 4 along the first pixel and none along the other."""


def test_the_law_of_five_images():
    assert torch.allclose(LAW.mean, torch.tensor([[1.0, 0.0]]).double())
    assert LAW.count == 5
    assert torch.allclose(LAW.eigenvalues, torch.tensor([4.0]).double())
    assert torch.allclose(LAW.covariance_factor.abs(), torch.tensor([[1.0, 0.0]]).double())


def test_the_start_stretches_noise_along_the_images():
    """u = a m + s z + (sqrt(a^2 v + s^2) - s) z along the first pixel: with a = 0.6 and s = 0.8."""
    a, s = 0.6, 0.8
    z = torch.tensor([[[2.0, -1.0]]]).double()
    u = DataStart.of(LAW, a, s).from_noise(z)
    along = (a**2 * 4 + s**2) ** 0.5
    assert torch.allclose(u, torch.tensor([[[a + along * 2.0, -s]]]).double())


def test_directions_are_those_of_most_variance():
    """Of 32 images of 12 pixels four directions are known: four of the pixels vary much."""
    sizes = torch.tensor([160.0, 80.0, 40.0, 20.0, *[0.01] * 8]).double()
    images = torch.cat([sizes.diag(), -sizes.diag(), torch.zeros(8, 12).double()])
    law = DataLaw.of([images.reshape(32, 1, 12)])
    assert torch.allclose(law.covariance_factor.abs(), torch.eye(12).double()[:4], atol=1e-4)
    assert torch.allclose(law.eigenvalues, 2 * sizes[:4] ** 2 / 31)
