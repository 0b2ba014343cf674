"""Solvers as weights."""

import pytest
import torch

from tests.theory.sampling.gaussian_flow import SCHEDULE, TIMES
from theory.sampling.multistep import Multistep, first_order, scales, second_order, with_end
from theory.support.errors import InputError


def test_positions_have_the_size_of_data_and_noise():
    a, s = scales(with_end(SCHEDULE.log_snr(TIMES)))
    assert torch.allclose(a**2 + s**2, torch.ones(()).double())
    alpha, sigma = SCHEDULE.alpha(TIMES), SCHEDULE.sigma(TIMES)
    assert torch.allclose(a[:-1], alpha / torch.hypot(alpha, sigma))
    assert (a[-1], s[-1]) == (1, 0)


@pytest.mark.parametrize("make", [first_order, second_order])
def test_a_network_that_knows_the_image_is_followed_exactly(make):
    """With D = x_0 always, every solver keeps u = a x_0 + s e."""
    solver = make(SCHEDULE, TIMES)
    x_0, e = torch.tensor([0.7]).double(), torch.tensor([-1.3]).double()
    a, s = scales(with_end(solver.log_snr))
    u, data = a[0] * x_0 + s[0] * e, []
    for i in range(len(solver)):
        data.append(x_0)
        u = solver.step(i, u, data)
        assert torch.allclose(u, a[i + 1] * x_0 + s[i + 1] * e, atol=1e-12)


def test_the_second_order_takes_predictions_in_the_middle_of_the_step():
    """On uneven times: what is a line in log-SNR is extrapolated to half the step."""
    times = torch.tensor([0.95, 0.7, 0.62, 0.3, 0.1]).double()
    plain, solver = (make(SCHEDULE, times) for make in (first_order, second_order))
    for i in (1, 2, 3):
        now, then = solver.log_snr[i], solver.log_snr[i + 1]
        line = solver.weights[i, 1:] @ solver.log_snr[[i, i - 1]]
        assert torch.allclose(line, plain.weights[i, 1] * (now + then) / 2, rtol=1e-12)
    assert torch.equal(solver.weights[[0, 4], :2], plain.weights[[0, 4]])


def test_a_first_time_without_any_image_has_finite_weights():
    solver = second_order(SCHEDULE, TIMES)
    lost = Multistep(TIMES, solver.log_snr, solver.weights)
    assert lost.weights.isfinite().all()
    a, s = scales(torch.tensor([-torch.inf]).double())
    assert (a.item(), s.item()) == (0, 1)


@pytest.mark.parametrize(
    "weights",
    [
        torch.zeros(5, 1).double(),
        torch.full((5, 2), torch.nan).double(),
    ],
)
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(InputError, match="solver: expected"):
        Multistep(TIMES, SCHEDULE.log_snr(TIMES), weights)


def test_the_first_weight_of_data_is_that_of_the_newest_prediction():
    one = torch.ones(1, 1).double()
    solver = Multistep(
        torch.tensor([2.0, 1.0, 0.0]),
        torch.arange(3).double(),
        torch.tensor([[2.0, 3.0, 5.0]] * 3).double(),
    )
    assert solver.step(1, 7 * one, [10 * one, 100 * one]).item() == 2 * 7 + 3 * 100 + 5 * 10
    assert solver.step(0, 7 * one, [10 * one]).item() == 2 * 7 + 3 * 10
