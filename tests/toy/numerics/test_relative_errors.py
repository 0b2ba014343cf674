"""The largest of several errors: no NaN is lost on the way."""

import math

import pytest
import torch

from toy.numerics.relative_errors import largest


@pytest.mark.parametrize("place", range(3))
def test_one_error_that_is_no_number_is_the_largest(place):
    errors = [0.5, 2.0, torch.tensor(1.0)]
    assert largest(errors) == 2.0
    errors[place] = math.nan
    assert math.isnan(largest(errors)) and math.isnan(largest(iter(errors)))
