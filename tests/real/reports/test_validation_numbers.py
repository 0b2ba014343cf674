"""What a validation's report says of its samples."""

import torch

from real.reports.validation import _sampling
from real.solvers.sampling import Samples


def test_the_change_of_samples_is_that_of_their_pixels():
    """One pixel rises by 0.5, another falls by 0.5, and two stay: 0.25 on the average."""
    before, after = (
        Samples(torch.tensor(pixels).reshape(1, 1, 2, 2), "ddim", 10, seconds)
        for pixels, seconds in (([0.0, 0.5, 0.1, 0.2], 1.0), ([0.5, 0.0, 0.1, 0.2], 2.0))
    )
    found = _sampling(before, after)
    assert found["mean_change"] == 0.25
    assert (found["seconds_before"], found["seconds_after"]) == (1.0, 2.0)
    assert (found["samples"], found["nfe"], found["solver"]) == (1, 10, "ddim")
