"""Fitting a solver whole: on a network whose flow is known, and on wrong ones."""

from dataclasses import replace

import pytest
import torch

from tests.theory.sampling.gaussian_flow import (
    DEVIATION,
    MEAN,
    SCHEDULE,
    SHAPE,
    TIMES,
    flow,
    images,
    solver,
)
from theory.diffusion.data_range import DataRange
from theory.diffusion.schedules import DiscreteSchedule
from theory.diffusion.targets import NOISE as NOISE_TARGET
from theory.forward.network import Network
from theory.sampling.data_law import DataLaw
from theory.sampling.fit import (
    COMPARED,
    DIVISIONS,
    FRESH,
    PURPOSE,
    Matching,
    Starts,
    _division,
    against,
    base_errors,
    fit_solver,
)
from theory.sampling.fitted import PARTS, FittedSolver
from theory.sampling.flow import Flow, fine_times
from theory.sampling.marginal_fit import fit_moments, moment_errors
from theory.sampling.multistep import first_order, scales, with_end
from theory.sampling.start import DataStart
from theory.sampling.trajectory_fit import StepFit
from theory.support.errors import InputError

LAW = DataLaw.of(images(4000).split(1000))
NOISE = Starts.drawn(8, "elsewhere", 800, SHAPE, None).noise


def fitted(parts, starts=64, law=LAW, **wrong):
    return fit_solver(flow(**wrong), solver(), SHAPE, parts=parts, law=law, starts=starts)


def ends(made, count=2000, **wrong):
    starts = Starts.drawn(7, "elsewhere", count, SHAPE, None)
    return flow(**wrong).solve(made, made.begin(starts.noise))[-1]


def test_the_trajectory_of_a_gaussian_is_followed_nearly_exactly():
    """Its flow is linear, so that five steps suffice, one weight for each pixel."""
    made = fitted(("trajectory",), law=None)
    distance = made.figures["distance"]
    assert distance["after"]["value"] < 1e-4 * distance["before"]["value"]
    assert distance["fall"]["lower"] > 0
    assert made.parts == ("trajectory",)


@pytest.fixture(scope="module")
def curved():
    return fitted(("trajectory",), law=None, curved=0.3).figures


def test_of_a_curved_network_less_is_left_on_fresh_starts(curved):
    distance = curved["distance"]
    assert distance["after"]["value"] < 0.2 * distance["before"]["value"]
    assert 0 < curved["fine_solution_error"] <= 0.01
    assert max(step["trajectory"]["predictions"] for step in curved["steps"]) == 3


def test_marginals_mend_a_network_that_is_wrong():
    wrong = {"bias": 0.15, "factor": 0.9}
    nothing = FittedSolver(SHAPE, solver(), (None,) * 5, (None,) * 5)
    made = fitted(("marginals",), starts=256, **wrong)
    errors = [
        ((ends(s, **wrong).mean(0) - MEAN) / DEVIATION).square().mean() for s in (nothing, made)
    ]
    assert errors[1] < 0.3 * errors[0]
    assert made.figures["moments"]["fall_lower"] > 0
    assert made.maps[-1] is None


def test_with_marginals_the_steps_follow_a_fine_solution_that_is_led_to_the_moments():
    """To its own fine solution a wrong network is followed with its errors; led, without them."""
    wrong = {"bias": 0.15, "factor": 0.9}
    alone, both = (fitted(parts, starts=256, **wrong) for parts in (("trajectory",), PARTS))
    positions = [flow(**wrong).solve(s, s.begin(NOISE)) for s in (alone, both)]
    a, s = (values.tolist() for values in scales(with_end(alone.base.log_snr)))
    errors = [
        sum(moment_errors(u, LAW, a[i + 1], s[i + 1]).mean() for i, u in enumerate(path[1:-1]))
        for path in positions
    ]
    assert errors[1] < 0.2 * errors[0]
    assert both.figures["distance"]["fall"]["lower"] > 0
    assert alone.added[-1] is not None
    assert both.added[-1] is None  # the end of the fine solution has errors that nothing takes away
    assert both.maps[-1] is None


def test_of_a_right_network_no_fall_of_the_moment_error_is_certified():
    times = torch.linspace(0.98, 0.02, 40, dtype=torch.float64)
    made = fit_solver(flow(), solver(times), SHAPE, parts=("marginals",), law=LAW, starts=64)
    assert made.figures["moments"]["fall_lower"] <= 0


def test_the_start_has_the_moments_of_q():
    a, s = 0.4, 0.9
    start = DataStart.of(LAW, a, s)
    noise = Starts.drawn(0, "start", 20_000, SHAPE, None).noise
    u = start.from_noise(noise)
    assert torch.allclose(u.mean(0), a * MEAN, atol=0.03)
    assert torch.allclose(u.var(0), a**2 * DEVIATION**2 + s**2, rtol=0.06)


def test_a_start_without_any_image_is_the_noise():
    noise = Starts.drawn(0, "start", 5, SHAPE, None).noise
    assert torch.allclose(DataStart.of(LAW, 0.0, 1.0).from_noise(noise), noise)


def test_starts_of_fit_proof_and_samples_differ():
    drawn = [Starts.drawn(0, key, 4, SHAPE, None).noise for key in (PURPOSE, FRESH, "sample")]
    assert not any(torch.equal(drawn[i], drawn[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_conditions_are_not_taken_in_the_order_of_the_file():
    """A file that is sorted by class: the first 20 starts see all ten classes."""
    labels = torch.arange(10).repeat_interleave(100)
    starts = Starts.drawn(0, PURPOSE, 60, SHAPE, labels)
    assert set(starts.conditions.tolist()) == set(range(10))


def test_a_file_keeps_everything(tmp_path):
    maps = fitted(("marginals",), bias=0.1).maps
    made = replace(fitted(PARTS, bias=0.1, curved=0.2), maps=maps)
    made = replace(made, clip=DataRange(-3.0, 3.0), provenance={"checkpoint": "c"})
    made.save(tmp_path / "f.safetensors")
    again = FittedSolver.load(tmp_path / "f.safetensors")
    assert torch.equal(ends(made, 10, bias=0.1), ends(again, 10, bias=0.1))
    assert again.parts == made.parts == ("start", "trajectory", "marginals")
    assert again.figures == dict(made.figures)
    assert repr(again) == repr(made)
    assert "5 evaluations for c" in repr(made)


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "f.safetensors"
    fitted(("trajectory",), law=None).save(path)
    whole = path.read_bytes()
    for broken in (
        whole[:100],
        b"",
        whole.replace(b'"pixel', b'"pixle'),
        whole.replace(b"[1, 4, 4]", b"[1, 4, 5]"),
    ):
        path.write_bytes(broken)
        with pytest.raises(InputError, match="fitted solver"):
            FittedSolver.load(path)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"parts": ()}, "parts: expected"),
        ({"parts": ("trajectory", "magic")}, "magic"),
        ({"parts": ("marginals",), "law": None}, "fitted to images"),
        ({"parts": ("trajectory",), "law": None, "starts": 3}, "starts: expected"),
    ],
)
def test_what_cannot_be_fitted_is_refused(arguments, match):
    with pytest.raises(InputError, match=match):
        fit_solver(flow(), solver(), SHAPE, **arguments)


def test_fine_times_hold_the_solvers_own():
    network = flow().network
    times = fine_times(network, solver(), 4)
    assert set(TIMES.tolist()) <= set(times.tolist())
    assert torch.equal(times, times.sort(descending=True).values)
    assert len(times) == 5 * 4 + 1
    assert times[-1] == SCHEDULE.grid(2)[0]


def test_predictions_are_clipped_as_the_flow_says():
    clipped = replace(flow(), clip=DataRange(-0.1, 0.1))
    x_0 = clipped.data(torch.ones(3, *SHAPE).double(), TIMES[2], None)
    assert x_0.abs().max() <= 0.1
    a, _ = scales(SCHEDULE.log_snr(TIMES))
    assert a[0] < a[-1]


def test_the_times_that_can_be_fitted_better_are_told_apart():
    """A curved flow: even times leave less than times of which four crowd at the end."""
    crowded = torch.tensor([0.98, 0.06, 0.05, 0.04, 0.03], dtype=torch.float64)
    bases = [solver(crowded), solver()]
    errors = base_errors(flow(curved=0.3), bases, SHAPE, None, 0)
    assert errors[1] < 0.2 * errors[0]
    alone = [
        fit_solver(flow(curved=0.3), base, SHAPE, parts=("trajectory",)).figures for base in bases
    ]
    for error, figures in zip(errors, alone, strict=True):
        assert error == pytest.approx(figures["distance"]["after"]["value"], rel=0.6)


def test_what_is_measured_is_that_of_fresh_starts(curved):
    """Distances per pixel, and errors of the moments at the times where they are led."""
    base, fresh = solver(), Starts.drawn(0, FRESH, 64, SHAPE, None).noise
    own, distance = flow(curved=0.3), curved["distance"]
    apart = own.solve(base, fresh)[-1] - own.fine(base, curved["division"], fresh)[-1]
    assert distance["before"]["value"] == pytest.approx(apart.square().mean().item())
    values = {name: distance[name]["value"] for name in ("before", "after", "fall")}
    assert values["fall"] == pytest.approx(values["before"] - values["after"])
    moments = fitted(("marginals",), bias=0.1).figures["moments"]
    path = flow(bias=0.1).solve(base, fresh)
    a, s = (x.tolist() for x in scales(base.log_snr))
    errors = [moment_errors(path[i], LAW, a[i], s[i]).mean().item() for i in range(1, 5)]
    assert moments["before"] == pytest.approx(sum(errors))


def test_gains_are_measured_on_other_starts_than_those_of_the_fit():
    seen = []

    def predict(x_t, t):
        seen.append((t[0].item(), x_t))
        return x_t

    own = Flow(Network(predict, SCHEDULE, NOISE_TARGET))
    fit_solver(own, solver(), SHAPE, parts=("marginals",), law=LAW, starts=24, fresh=16)
    first = max(t for t, _ in seen)
    starts = torch.cat([x_t for t, x_t in seen if t == first])
    assert len(starts.unique(dim=0)) == 24 + 16


def test_positions_are_led_to_the_moments_of_their_own_time():
    u, base = images(40, 3), solver()
    a, s = (x.tolist() for x in scales(base.log_snr))
    assert Matching(LAW, base).fit(1, u).before == fit_moments(u, LAW, a[1], s[1]).before


@pytest.mark.parametrize(
    "parts",
    [("start",), ("marginals",), ("start", "marginals"), ("trajectory",), ("start", "trajectory")],
    ids="+".join,
)
def test_what_is_held_against_the_images_is_the_fine_solution_from_where_the_solver_begins(parts):
    made = fitted(parts, bias=0.1)
    starts = 64 if "trajectory" in parts else COMPARED
    u = made.begin(Starts.drawn(0, PURPOSE, 64, SHAPE, None).first(starts).noise)
    division = made.figures.get("division", DIVISIONS[0])
    expected = against(LAW, flow(bias=0.1).fine(made.base, division, u)[-1])
    assert made.figures["law"] == pytest.approx(expected, rel=1e-9)


def test_intervals_are_divided_until_it_hardly_matters(monkeypatch):
    own, base = flow(curved=0.5), solver()
    starts = Starts.drawn(0, PURPOSE, 8, SHAPE, None)
    u, plain = starts.noise, FittedSolver(SHAPE, base, (None,) * 5, (None,) * 5)
    coarse = own.solve(base, u)[-1]
    fine = {division: own.fine(base, division, u)[-1] for division in (4, 8, 16, 32, 64)}
    errors = {
        division: (
            (fine[division] - fine[2 * division]).square().sum()
            / (coarse - fine[2 * division]).square().sum()
        ).item()
        for division in DIVISIONS
    }
    for division, enough in ((4, errors[4]), (8, errors[8]), (16, errors[16]), (32, 0.0)):
        monkeypatch.setattr("theory.sampling.fit.FINE_ENOUGH", enough * (1 + 1e-9))
        assert _division(own, plain, starts)[:2] == (division, pytest.approx(errors[division]))


def test_intervals_of_a_table_are_divided_while_it_has_times_between(monkeypatch):
    """Times four apart, of 17: from some division on all of them are taken."""
    monkeypatch.setattr("theory.sampling.fit.FINE_ENOUGH", -1.0)
    table = DiscreteSchedule(torch.linspace(0.99, 0.01, 17).double().tolist())
    base = first_order(table, torch.tensor([16, 12, 8, 4]))
    own = Flow(Network(lambda x_t, t: torch.tanh(x_t), table, NOISE_TARGET))
    division = fit_solver(own, base, SHAPE, parts=("trajectory",), starts=24).figures["division"]
    finest = [
        len(fine_times(own.network, base, many)) for many in (division // 2, division, 2 * division)
    ]
    assert division > 4 and finest[0] < finest[1] == finest[2] == 17


@pytest.mark.parametrize("own", [1, 5])
def test_a_step_may_use_three_predictions_or_as_many_as_its_solver_does(monkeypatch, own):
    base, seen = solver(torch.linspace(0.98, 0.05, 7, dtype=torch.float64)), []

    def fit(features, remainder, shape):
        seen.append(len(features) - 1)
        return StepFit(None, 0.0, 0.0)

    monkeypatch.setattr("theory.sampling.fit.fit_step", fit)
    base = replace(base, weights=torch.nn.functional.pad(base.weights, (0, own - 1)))
    fit_solver(flow(), base, SHAPE, parts=("trajectory",), starts=24)
    assert seen == [min(i + 1, max(3, own)) for i in range(7)]


def test_the_law_of_samples_by_hand():
    """Four images of variance 4 (two pixels, means 0), two samples of variance 8 and mean (3, 0)."""
    law = DataLaw.of([torch.tensor([[2.0, 2.0], [-2.0, -2.0], [1.0, 1.0], [-1.0, -1.0]]).double()])
    found = against(law, torch.tensor([[5.0, 2.0], [1.0, -2.0]]).double())
    theirs = 2 * 10 / 3
    assert found["variance"] == pytest.approx(16 / theirs)
    assert found["mean"] == pytest.approx((9 - 16 / 2 - theirs / 4) / theirs)
    assert found["variance_error"] == pytest.approx((2 * 2 * (10 / 3) ** 2 / theirs**2 / 2) ** 0.5)
