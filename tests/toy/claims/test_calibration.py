"""The models with a planted bias that ``calibrate`` is tried on."""

import pytest
import torch

from toy.claims.calibration import _planted


@pytest.mark.parametrize("seed", range(4))
def test_the_last_pixel_is_bright_at_every_seed(seed):
    """So that a mistake about this pixel alone shows."""
    model, images = _planted(seed)[0]
    assert torch.allclose(model.diffusion.data.mean()[-1], torch.tensor(3.0).double())
    assert abs(images[:, -1].mean().item() - 3.0) < 0.1
