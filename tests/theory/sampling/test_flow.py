"""The probability flow of a network, evaluated and solved: small cases by hand."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from tests.theory.sampling.gaussian_flow import SCHEDULE, SHAPE, TIMES, flow, solver
from theory.diffusion.data_range import DataRange
from theory.diffusion.schedules import EDM, DiscreteSchedule, RectifiedFlow
from theory.diffusion.targets import DATA
from theory.forward.network import Network
from theory.sampling.flow import Flow, LedSteps, fine_times
from theory.sampling.multistep import first_order

U = torch.linspace(-1, 1, 5 * 16, dtype=torch.float64).reshape(5, *SHAPE)


def echo(clip=None, batch_size=2):
    """A network whose prediction of x_0 is x_t itself, plus its label if it has one."""

    def predict(x_t, t, condition=None):
        return x_t if condition is None else x_t + condition[:, None, None, None]

    return Flow(Network(predict, SCHEDULE, DATA), clip, batch_size)


def test_a_network_sees_x_t():
    """x_t = sqrt(alpha^2 + sigma^2) u, here sqrt(1 + 3^2) u; in single precision."""
    exploding = Flow(replace(echo().network, schedule=EDM()))
    seen = exploding.data(U, torch.tensor(3.0).double(), None)
    assert torch.allclose(seen, 10**0.5 * U, rtol=1e-6, atol=0)


def test_every_image_keeps_its_own_condition_in_every_batch():
    labels = torch.tensor([10.0, 20.0, 30.0, 40.0, 50.0])
    plain, with_labels = (echo().data(U, TIMES[0], c) for c in (None, labels))
    assert torch.allclose(with_labels - plain, labels.double()[:, None, None, None], atol=1e-4)


def test_predictions_are_clipped_to_both_ends():
    clipped = echo(DataRange(-0.25, 0.75)).data(U, TIMES[0], None)
    assert (clipped.min().item(), clipped.max().item()) == (-0.25, 0.75)


def test_evaluations_are_those_of_every_image():
    own = echo()
    own.solve(solver(), U)
    assert own.evaluations == len(TIMES) * len(U)


def test_fine_positions_at_a_solvers_times_are_where_its_steps_begin():
    path = flow().fine(solver(), 3, U)
    assert len(path) == len(TIMES) + 1
    assert torch.equal(path[0], U)
    assert not any(torch.equal(now, then) for now, then in pairwise(path))


def test_the_first_part_of_a_fine_solution_leads_to_the_second_time():
    """Of three parts: two times between each two of the solver's own, evenly in log-SNR."""
    times = fine_times(flow().network, solver(), 3)
    assert len(times) == 3 * len(TIMES) + 1
    log_snr = SCHEDULE.log_snr(times)
    assert torch.allclose(log_snr[:4].diff(), log_snr[:4].diff()[0], rtol=1e-6)
    assert torch.equal(times[::3][:-1], TIMES)


def test_times_of_a_table_are_the_nearest():
    schedule = DiscreteSchedule(torch.sigmoid(torch.linspace(4.0, -4.0, 9)).double())
    own = Network(flow().network.predict, schedule, DATA)
    base = first_order(schedule, torch.tensor([8, 3]))
    # from 8 to 3 in three parts: 6.33 and 4.67; from 3 to 0: 2 and 1
    assert fine_times(own, base, 3).tolist() == [8, 6, 5, 3, 2, 1, 0]


def test_a_start_of_no_signal_at_all_is_divided_from_where_grids_begin():
    """Its log-SNR is minus infinity, which has no half."""
    schedule = RectifiedFlow()
    network = replace(flow().network, schedule=schedule)
    base = first_order(schedule, torch.tensor([1.0, 0.5], dtype=torch.float64))
    times = fine_times(network, base, 4)
    assert times[0] == 1 and times[4] == 0.5 and (times.diff() < 0).all()
    lowest = schedule.log_snr(schedule.grid(2)[-1:]).item()
    inside = schedule.log_snr(times[1:4]) / lowest
    assert torch.allclose(inside, torch.tensor([0.75, 0.5, 0.25]).double(), atol=1e-6)


def test_positions_are_led_where_they_arrive_at_a_mark():
    seen = []

    def led(k, u):
        seen.append((k, u))
        return u + 100 * k

    steps = LedSteps(solver(), {0: 0, 2: 1}, led)
    data = [U, U, U]
    plain = [solver().step(i, U, data[: i + 1]) for i in range(3)]
    found = [steps.step(i, U, data[: i + 1]) for i in range(3)]
    assert torch.equal(found[0], plain[0]) and torch.equal(found[2], plain[2])
    assert torch.equal(found[1], plain[1] + 100)
    assert [k for k, _ in seen] == [1]


@pytest.mark.parametrize("batch_size", [1, 5])
def test_batches_do_not_matter(batch_size):
    own = replace(flow(), batch_size=batch_size)
    assert torch.allclose(own.data(U, TIMES[1], None), flow().data(U, TIMES[1], None), atol=1e-6)
