"""What a user's model is tried on, and errors that hide in few of its points, axes or rows."""

import pytest
import torch

from tests.draws import drawn
from theory.diffusion.schedules import EDM, VPLinear
from theory.diffusion.targets import DATA, NAMED, NOISE, SCORE
from toy import Diffusion, Formula, GaussianMixture, Model
from toy.falsifier import model_claims
from toy.falsifier.model_claims import claims_on_formula, claims_on_model
from toy.falsifier.model_errors import (
    ModelPoint,
    conservative_error,
    model_mean_error,
    prediction_error,
    user_model_case,
)
from toy.falsifier.sweeps import stratified
from toy.judge.claim import EXACT_TOLERANCE
from toy.mixtures.mixture import float64
from toy.numerics.reported_errors import UnresolvedError

VP = VPLinear()


def normal(dimension, count=1):
    """Standard normal components, a deviation apart."""
    means = torch.arange(count, dtype=torch.float64)[:, None].expand(count, dimension)
    return GaussianMixture.diagonal(torch.ones(count), means, torch.ones(count))


def model_of(law, change=lambda y, x: y, schedule=VP, target=SCORE):
    """The exact prediction of one time, changed."""
    diffusion = Diffusion(law, schedule)

    def predict(x_t, t):
        y = torch.empty_like(x_t)
        for time in t.unique().tolist():
            x = x_t[t == time]
            noise, data = diffusion.noise_prediction(x, time), diffusion.posterior_mean(x, time)
            a, b = target.coefficients(schedule, float64(time))
            y[t == time] = change(a * data + b * noise, x)
        return y

    return Model(predict, diffusion, target)


def point(model, *x_t, t=0.5):
    return ModelPoint(model, t, t, float64(x_t))


def tried(stages):
    """Claims by id, and how many are left out in the first stage."""
    first, last = stages
    claims = {claim.id: claim for claim in (*first.claims, *last.claims)}
    return claims, [left.count for left in first.left_out]


@pytest.mark.parametrize("target", NAMED.values(), ids=NAMED)
def test_an_error_is_told_as_one_of_the_noise_whatever_is_predicted(target):
    """Of a score that is off by a tenth, which is sigma/10 of noise; the noise at 0.7 is 0.7 sigma."""
    diffusion, t, off = Diffusion(normal(1), VP), 0.5, 0.1
    exact = Model(lambda x_t, t: x_t, diffusion, target)
    wrong = Model(
        lambda x_t, _: exact.of_score(diffusion.score(x_t, t) + off, x_t, t), diffusion, target
    )
    sigma = diffusion.scales(t)[1]
    expected = off * sigma / (1 + 0.7 * sigma)
    assert prediction_error(point(wrong, 0.7)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("dimension", [1, 2, 3, 9])
def test_a_model_is_tried_on_all_that_its_dimension_allows(dimension):
    model = model_of(normal(dimension, 2), target=DATA)
    claims, left_out = tried(claims_on_model(model))
    sums = {"mean", "martingale"} if dimension < 9 else set()
    of_dimension = {"loss-fall", "denoising-fall"} if dimension == 1 else {"conservative"}
    assert set(claims) == {"prediction", "conversion", "commutation"} | sums | of_dimension
    assert left_out == ([2] if dimension == 9 else [])
    assert all(claims[name].share == (1.0 if dimension < 3 else 0.1) for name in sums)
    assert {case.source for case in drawn(claims["conversion"].strategy, 5)} == {DATA}


def test_a_formula_is_tried_in_every_dimension_and_under_every_kind_of_schedule(monkeypatch):
    monkeypatch.setattr(model_claims, "FORMULA_PARTS", 1)
    formula = Formula(lambda x_t, t, diffusion: torch.zeros_like(x_t))
    claims, left_out = tried(claims_on_formula(formula))
    assert {"prediction", "mean", "martingale", "loss-fall", "conservative"} <= set(claims)
    assert left_out == []
    assert {len(case.offset) for case in drawn(claims["mean"].strategy)} == {1, 2, 3}
    places = [place for _, place in claims["prediction"].sweep(0)]
    kinds = {"vp-linear", "vp-cosine", "edm", "rectified-flow", "discrete"}
    for dimension in (1, 2, 3):
        found = {place.schedule.name for place in places if len(place.x_t) == dimension}
        assert found == kinds, dimension


def test_a_sweep_has_other_points_at_each_time_and_of_each_run(monkeypatch):
    seeds, around = [], model_claims.sweeps.points_around
    monkeypatch.setattr(
        model_claims.sweeps,
        "points_around",
        lambda law, seed: seeds.append(seed) or around(law, seed),
    )
    for run_seed in (0, 100):
        swept = list(model_claims._swept(model_of(normal(1)), run_seed, 3, lambda t, x: t))
        times = [t for _, t in swept]
        expected = [run_seed + k for k, t in enumerate(stratified(VP, run_seed, 3)) if t in times]
        assert seeds == expected and len(seeds) == len(times) > 3
        seeds.clear()


def test_a_formula_that_depends_on_the_other_rows_falls(monkeypatch):
    """At one time it is right."""
    monkeypatch.setattr(model_claims, "FORMULA_PARTS", 1)

    monkeypatch.setattr(model_claims, "SWEPT_SCHEDULES", (VPLinear(),))
    monkeypatch.setattr(model_claims, "SWEPT_DATA", model_claims.SWEPT_DATA[1:2])

    def of_the_first(x_t, t, diffusion):
        return diffusion.score(x_t, t[0].item())

    claims, _ = tried(claims_on_formula(Formula(of_the_first)))
    worst = max(error for error, _ in claims["prediction"].sweep(0))
    assert worst > EXACT_TOLERANCE


def test_an_error_along_one_axis_is_one():
    wrong = model_of(normal(2), lambda y, x: y * float64([1.0, 1.001]))
    assert prediction_error(point(wrong, 0.5, 0.7)) > 1e-4
    assert prediction_error(point(model_of(normal(2)), 0.5, 0.7)) < 1e-12


NARROW = GaussianMixture.diagonal(torch.ones(1), float64([[1.0]]), float64([[4e-6]]))


@pytest.mark.parametrize("law", [normal(1), NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("off", [0.0, 1e-7])
def test_a_small_error_is_seen_where_there_is_hardly_any_noise(law, off):
    """What is allowed for rounding there is less than half of it."""
    own = model_of(law, lambda y, x: y + off, EDM(), NOISE)
    assert prediction_error(point(own, 1.001, t=0.002)) == pytest.approx(off, rel=0.5, abs=1e-10)


@pytest.mark.parametrize("far", [2.0, 6.0])
def test_a_mean_without_a_number_in_few_places_is_infinite(far):
    nan = model_of(normal(1), lambda y, x: torch.where(x > far, torch.nan, y))
    assert model_mean_error(point(nan, 0.0)) == torch.inf


def test_a_rough_field_has_no_jacobian_that_could_be_symmetric_or_not():
    rough = model_of(normal(2), lambda y, x: y + 1e-3 * torch.sin(1e5 * x))
    with pytest.raises(UnresolvedError, match="Jacobian"):
        conservative_error(point(rough, 0.5, 0.7))


def test_the_models_own_predictions_are_what_the_falls_are_claimed_of():
    """But where there is no mass at all, as it may have no number there."""
    wrong = model_of(normal(1), lambda y, x: torch.where(x > 40, torch.nan, y + 1))
    right = model_of(normal(1))
    x = float64([[0.3], [-2.0], [50.0]])
    case = user_model_case(point(wrong, 0.3), 0.7)
    got, expected = case.model().at(x, 0.5), right.at(x, 0.5)
    assert torch.allclose(got - expected, float64([[1.0], [1.0], [0.0]]))
    assert (case.shift, case.times.t, case.target) == (0.7, 0.5, SCORE)
