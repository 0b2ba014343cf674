"""A rule decides from the past; a choice in hindsight does not."""

from dataclasses import replace

import pytest
import torch

from tests.draws import normal
from theory.bounds.optional_stopping import (
    Commitment,
    Drawdown,
    Exit,
    LargeScore,
    LastExit,
    Paths,
    RandomClock,
    SnrLevel,
    farthest_along_start,
    largest_score,
    last_beyond_start,
    stopped,
    stopping_index,
)

T, N, D, K = 12, 200, 3, 2
RULES = (
    Exit(2.5), Commitment(0.8), LargeScore(2.5), Drawdown(0.6), SnrLevel(0.4), RandomClock(2.0, 3),
)  # fmt: skip


def draw(seed):
    x, m = normal(seed, 2, T, N, D)
    components = torch.softmax(normal(seed + 2, T, N, K), -1)
    return Paths(torch.linspace(0, 1, T, dtype=torch.float64), x, m.cumsum(0) / 3, components)


def with_another_future(paths, other, i):
    """The same paths up to index i, another path's values after it."""
    parts = {
        name: torch.cat([value[: i + 1], getattr(other, name)[i + 1 :]])
        for name, value in vars(paths).items()
    }
    return replace(paths, **parts)


def foresees(choice):
    """Whether, for some i, the event {tau <= i} changes with what comes after i."""
    paths, other = draw(0), draw(1)
    return any(
        not torch.equal(choice(paths) <= i, choice(with_another_future(paths, other, i)) <= i)
        for i in range(T - 1)
    )


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_rule_is_a_stopping_time_that_stops_some_paths_before_the_end(rule):
    assert not foresees(lambda paths: stopping_index(rule, paths))
    index = stopping_index(rule, draw(0))
    assert (index < T - 1).double().mean() > 0.1
    assert (index > 0).double().mean() > 0.1


def test_hindsight_is_no_stopping_time():
    for hindsight in (largest_score, LastExit(2.0), farthest_along_start, last_beyond_start):
        assert foresees(hindsight), hindsight


def test_the_first_time_counts():
    paths = draw(0)
    outside = paths.x.norm(dim=-1) > 2.5
    for path, index in enumerate(stopping_index(Exit(2.5), paths).tolist()):
        assert not outside[:index, path].any()
        assert outside[index, path] or index == T - 1


def test_never_and_at_once():
    paths = draw(0)
    assert (stopping_index(Exit(1e9), paths) == T - 1).all()
    assert (stopping_index(Exit(0.0), paths) == 0).all()
    assert (LastExit(1e9)(paths) == T - 1).all()
    assert (LastExit(0.0)(paths) == T - 1).all()


def test_last_exit_is_the_last_one():
    paths = draw(0)
    outside = paths.x.norm(dim=-1) > 2.0
    for path, index in enumerate(LastExit(2.0)(paths).tolist()):
        assert not outside[index + 1 :, path].any()


def test_the_clock_is_reproduced_by_its_seed_and_ignores_the_paths():
    first = stopping_index(RandomClock(2.0, 3), draw(0))
    assert torch.equal(first, stopping_index(RandomClock(2.0, 3), draw(1)))
    assert not torch.equal(first, stopping_index(RandomClock(2.0, 4), draw(0)))


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_the_clock_is_exponential_in_log_snr(rate):
    """Within d of the start it rings on a share 1 - exp(-rate d); of 20000 paths four errors wide."""
    n, log_snr = 20_000, torch.tensor([-1.0, -0.75, 0.0, 1.0]).double()
    steps = [Paths(log_snr[: k + 1], *[torch.zeros(k + 1, n, 1).double()] * 3) for k in range(1, 4)]
    shares = torch.stack([RandomClock(rate, 3)(seen).double().mean() for seen in steps])
    expected = 1 - torch.exp(-rate * (log_snr[1:] - log_snr[0]))
    assert ((shares - expected).abs() < 4 * (expected * (1 - expected) / n).sqrt()).all()


def test_the_clock_shares_no_stream_with_a_generator_of_its_seed():
    generator = torch.Generator().manual_seed(3)
    draws = torch.rand(N, generator=generator, dtype=torch.float64)
    log_snr = draw(0).log_snr
    of_that_stream = log_snr - log_snr[0] > -torch.log1p(-draws)[:, None] / 2.0
    shared = torch.where(of_that_stream.any(1), of_that_stream.double().argmax(1), T - 1)
    index = stopping_index(RandomClock(2.0, 3), draw(0))
    assert (index == shared).double().mean() < 0.5


def test_hindsight_along_the_start():
    """M_t . M_T is 1, 3, 2, 0, along one path and 1, 0, 0, 0 along another."""
    along = torch.tensor([[1.0, 1.0], [3.0, 0.0], [2.0, 0.0], [0.0, 0.0]]).double()[..., None]
    paths = Paths(torch.arange(4).double(), along, along, along)
    assert farthest_along_start(paths).tolist() == [1, 0]
    assert last_beyond_start(paths).tolist() == [2, 0]


def test_stopped_picks_each_path_at_its_own_time():
    paths = draw(0)
    index = torch.arange(N) % T
    values = stopped(paths, index)
    assert all(torch.equal(values[j], paths.martingale[j % T, j]) for j in range(N))


def test_a_drawdown_is_from_the_largest_so_far():
    """|M| is 1, 4, 3, 1, 9: below half of its maximum at the fourth time, and not of its start."""
    size = torch.tensor([1.0, 4.0, 3.0, 1.0, 9.0], dtype=torch.float64)[:, None, None]
    paths = Paths(torch.arange(5).double(), size, size, size)
    assert stopping_index(Drawdown(0.5), paths).tolist() == [3]
    assert stopping_index(Drawdown(0.2), paths).tolist() == [4]
