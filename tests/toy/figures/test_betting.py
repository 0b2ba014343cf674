"""The price of a certificate at every n: large where the floor is low, and gone with many images."""

import torch

from toy.figures.betting import FLOORS, compute_price


def test_bets_cost_more_the_lower_the_floor_and_less_the_more_images():
    price = compute_price(0)
    near, *_, far = price.betting.values()
    assert (near <= price.student + 0.05).all()
    assert (far < near).all()
    assert near[-1] > 0.6
    assert (price.student.diff() > -0.05).all()
    assert len(price.betting) == len(FLOORS)
    assert torch.stack([*price.betting.values()])[:, -1].gt(0).sum() >= 2
