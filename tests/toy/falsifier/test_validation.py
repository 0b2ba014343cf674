"""What a user brings is refused in one line unless it is of the right kind, shape and range."""

from dataclasses import replace

import pytest
import torch

from tests.refusals import refusal
from theory.diffusion.schedules import DiscreteSchedule, RectifiedFlow, VPLinear
from theory.diffusion.targets import Target
from toy import Diffusion, GaussianMixture, Model
from toy.falsifier.validation import as_model, as_schedule, places

MIXTURE = GaussianMixture.diagonal(torch.ones(1), torch.zeros(1, 1), torch.ones(1))
DIFFUSION = Diffusion(MIXTURE, VPLinear())


class OfVectors(RectifiedFlow):
    """At one time alone it fails."""

    def alpha(self, t):
        return super().alpha(t) * (t / t[0]) ** 0


class OpaqueSigma(RectifiedFlow):
    """Its noise is cut from the graph."""

    def sigma(self, t):
        return super().sigma(t).detach()


class AlphaAlone(RectifiedFlow):
    """Its transition has no variance."""

    def transition(self, s, t):
        return super().transition(s, t)[0]


@pytest.mark.parametrize(
    ("schedule", "match"),
    [
        (RectifiedFlow(0.9, 0.1), "expected numbers t_min < t_max, got 0.9, 0.1"),
        (RectifiedFlow(0.1, float("inf")), "expected numbers t_min < t_max, got 0.1, inf"),
        (OfVectors(0.1, 0.9), "alpha fails: IndexError"),
        (OpaqueSigma(0.1, 0.9), "does not see through sigma"),
        (AlphaAlone(0.1, 0.9), r"transition: expected \(A, V\), got Tensor"),
    ],
    ids=["backwards", "endless", "vectors", "opaque", "alpha alone"],
)
def test_a_schedule_that_cannot_be_tried_is_refused(schedule, match):
    with refusal(match):
        as_schedule(schedule, "mine.py:own")


class Cornered(RectifiedFlow):
    """Its slope jumps at one of the places that are asked."""

    def alpha(self, t):
        return super().alpha(t) + (t - places(self)[5]).clamp(min=0) / 10


class Compared(RectifiedFlow):
    """A class that says what equals it has no hash of its own."""

    def __eq__(self, other):
        return isinstance(other, Compared)


def test_a_schedule_with_a_corner_and_one_without_a_hash_are_accepted():
    for kind in (Cornered, Compared):
        own = kind(0.1, 0.9)
        assert as_schedule(own, "mine.py:own") is own
        assert isinstance(hash(own), int)


def exact(x_t, t):
    return DIFFUSION.score(x_t, t[0].item())


def noiseless(schedule, t):
    """What stands for x_t itself."""
    return schedule.alpha(t), schedule.sigma(t)


BATCH = replace(
    MIXTURE, log_weights=torch.zeros(1, 1).double(), means=torch.zeros(1, 1, 1).double()
)


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (Model(exact, DIFFUSION, Target("x", lambda *_: (1.0, 1.0))), "target: expected a float64"),
        (
            Model(exact, DIFFUSION, Target("x", lambda *_: 1.0)),
            r"target: expected \(A, B\), got float",
        ),
        (
            Model(exact, DIFFUSION, Target("x", noiseless)),
            "the target does not determine the noise at t = 0.5",
        ),
        (Model(exact, Diffusion(BATCH, VPLinear())), "expected one mixture, got a batch of them"),
    ],
    ids=["numbers", "one number", "x_t", "batch"],
)
def test_a_model_that_cannot_be_tried_is_refused(model, match):
    with refusal(match):
        as_model(model, "mine.py:own")


def test_a_model_that_fails_is_refused_with_the_time_and_the_kind_of_its_error():
    def fails(x_t, t):
        raise KeyError("gone")

    with refusal(r"model: fails at t = 0\.3: KeyError: 'gone'"):
        Model(fails, DIFFUSION).at(torch.zeros(2, 1).double(), 0.3)
    with refusal(r"model: fails at t = 0\.3: KeyError: 'gone'"):
        Model(fails, DIFFUSION).rows(torch.zeros(2, 1).double(), torch.tensor([0.3, 0.4]).double())


def test_a_table_is_asked_at_one_of_its_times():
    table = DiscreteSchedule([0.99, 0.7, 0.3, 0.01])
    seen = []

    def predict(x_t, t):
        seen.append(t[0].item())
        return Diffusion(MIXTURE, table).score(x_t, t[0].item())

    as_model(Model(predict, Diffusion(MIXTURE, table)), "mine.py:own")
    assert {t % 1 for t in seen} == {0.0}
