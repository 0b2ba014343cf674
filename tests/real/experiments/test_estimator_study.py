"""The study of the estimators: every row is what its names say, and its report the rows' medians."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from real.calibrated.conditions import ConditionedImages
from real.experiments import estimator_study_report as report
from real.experiments.estimator_study import (
    EstimatorStudy,
    EstimatorStudyPlan,
    run_estimator_study,
)
from real.experiments.study_plan import rows_where
from real.images.digits import digits
from real.reports.elements import BAD, PLAIN
from real.reports.origin import Origin
from real.solvers.sampling import latents, sample
from theory.calibration import calibrate, validate
from theory.estimators import control_variates as by
from theory.statistics.shrinkage import CERTIFIED, SHRUNK, SMOOTHED, UNSHRUNK

TIMES = [300, 700]
SIZES, SEEDS, FIRST = [25, 28], (4, 5), 3


def plan_of(checkpoint, images, **settings):
    return EstimatorStudyPlan(
        checkpoint=checkpoint, images=ConditionedImages(digits("calibration")[:images]),
        held_out=ConditionedImages(digits("held-out")[:12]),
        times=checkpoint.schedule.times(TIMES), truth_draws=2, generated_nfe=2, **settings,
    )  # fmt: skip


@pytest.fixture(scope="module")
def studied(digits_checkpoint):
    counted = []
    plan = plan_of(digits_checkpoint, 28, seeds=len(SEEDS), seed=FIRST, on_progress=counted.append)
    return plan, run_estimator_study(plan), sum(counted)


def calibrated(plan, images, **settings):
    network = plan.checkpoint
    return calibrate(
        network.predict, network.schedule, target=network.target, images=images, times=TIMES,
        order=0, **settings,
    )  # fmt: skip


def repetitions(plan):
    sets = list(plan.subsets())
    assert [(size, seed) for size, seed, _ in sets] == [(n, s) for s in SEEDS for n in SIZES]
    return [(size, seed, chosen.images) for size, seed, chosen in sets]


def test_each_error_is_that_of_its_estimate_from_the_mean_of_many_draws(studied):
    plan, found, _ = studied
    known = plan.images.images
    truth = calibrated(
        plan, known, estimator=by.RESIDUAL, draws=2, seed=FIRST, policy=UNSHRUNK
    ).shift
    recipes = {name: (estimator, UNSHRUNK) for name, estimator in by.NAMED.items()}
    recipes["spline"] = by.REGRESSION, SMOOTHED
    for size, seed, images in repetitions(plan):
        for name, (estimator, policy) in recipes.items():
            made = calibrated(plan, images, estimator=estimator, policy=policy, seed=seed)
            errors = (made.shift - truth).square().sum((1, 2, 3))
            (row,) = rows_where(found.errors, estimator=name, images=size, seed=seed)
            assert row["error"] == pytest.approx(errors.prod().sqrt().item(), rel=1e-4)
            assert row["evaluations"] == size * len(TIMES)


def test_each_gain_is_that_of_its_recipe_on_held_out_images(studied):
    plan, found, _ = studied
    network = plan.checkpoint
    noise = latents(network, 28, FIRST)
    own = sample(network, network.predict, noise, solver="ddim", nfe=2).images
    recipes = {
        "published": (by.PLAIN, UNSHRUNK), "shrunk": (by.REGRESSION, SHRUNK),
        "certified": (by.REGRESSION, CERTIFIED), "certified, generated": (by.REGRESSION, CERTIFIED),
    }  # fmt: skip
    for size, seed, images in repetitions(plan):
        for name, (estimator, policy) in recipes.items():
            of = own[:size] if name.endswith("generated") else images
            made = calibrated(plan, of, estimator=estimator, policy=policy, seed=seed)
            gain = validate(
                network.predict, made, images=plan.held_out.images, seed=seed
            ).bound_gain()
            (row,) = rows_where(found.gains, recipe=name, images=size, seed=seed)
            expected = {"gain": gain.value, "gain_lower": gain.lower, "gain_upper": gain.upper}
            assert {key: row[key] for key in expected} == pytest.approx(expected, rel=1e-4)


def test_as_many_evaluations_are_told_before_as_are_made(studied):
    plan, _, made = studied
    assert plan.evaluations() == made


def test_numbers_of_images_double_up_to_all(digits_checkpoint):
    sizes = {n: plan_of(digits_checkpoint, n, seeds=3).sizes for n in (20, 25, 50, 110)}
    assert sizes == {20: [20], 25: [25], 50: [25, 50], 110: [25, 50, 100, 110]}


def planted():
    """Of two sizes and three seeds: errors and gains whose medians are no means."""
    values = {25: (1.0, 2.0, 9.0), 50: (10.0, 20.0, 90.0)}
    errors = [
        {"estimator": name, "images": n, "evaluations": 2 * n, "seed": k, "error": factor * value}
        for name, factor in (("plain", 1), ("regression", 3))
        for n, row in values.items()
        for k, value in enumerate(row)
    ]
    gains = [
        {"recipe": name, "images": n, "seed": k, "gain": sign * value, "gain_lower": sign * value - 5,
         "gain_upper": sign * value + 5}
        for name, sign in (("published", -1), ("certified", 1))
        for n, row in values.items()
        for k, value in enumerate(row)
    ]  # fmt: skip
    return EstimatorStudy(TIMES, errors, gains)


def test_the_report_has_medians_and_counts_the_runs_that_certainly_lost(digits_checkpoint):
    plan = plan_of(digits_checkpoint, 50, seeds=3)
    made = report.estimator_study_report(plan, planted(), Origin("study"))
    (errors,), (gains,) = (section.tables for section in made.sections[:2])
    assert errors.columns == ("images", "plain", "regression")
    assert errors.rows == [["25", "2", "6"], ["50", "20", "60"]]
    assert gains.columns == ("images", "published", "certified")
    cells = [[(cell.text, cell.tone, cell.beside) for cell in row[1:]] for row in gains.rows]
    assert cells == [
        [("-2.0000", BAD, "(1)"), ("2.0000", PLAIN, "(0)")],
        [("-20.0000", BAD, "(3)"), ("20.0000", PLAIN, "(0)")],
    ]
    assert made.verdict.sentence == (
        "Of 6 runs the bound certainly rose held out: published in 4, certified in 0."
    )
    assert "over 2 draws each" in made.sections[0].text[0]
    assert "in how many of the 3 runs" in made.sections[1].text[0]


@pytest.mark.parametrize(
    ("draw", "names", "along"),
    [
        (report.draw_errors, {"plain": 1, "regression": 3}, [50, 100]),
        (report.draw_gains, {"published": -1, "certified": 1}, [25, 50]),
    ],
)
def test_medians_are_drawn_with_the_least_and_the_largest_around(draw, names, along):
    ax = Figure().subplots()
    draw(ax, planted())
    lines = {line.get_label(): line for line in ax.lines if line.get_label() in names}
    for (name, factor), band in zip(names.items(), ax.collections, strict=True):
        assert list(lines[name].get_xdata()) == along
        assert np.allclose(lines[name].get_ydata(), [2 * factor, 20 * factor])
        ends = sorted({round(y, 6) for _, y in band.get_paths()[0].vertices.tolist()})
        assert ends == sorted(factor * value for value in (1.0, 9.0, 10.0, 90.0))
