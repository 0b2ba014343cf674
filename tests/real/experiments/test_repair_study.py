"""The study of repair from the command line: every network, correction and number of evaluations."""

import json
import math
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from matplotlib.figure import Figure

from real.calibrated.conditions import ConditionedImages
from real.cli import main
from real.compress import Damage
from real.experiments import repair_study
from real.experiments import repair_study_report as report
from real.experiments.repair_study_report import _few, _verdict
from real.images.base import ImageSource
from real.images.digits import digits
from real.quality.features import PIXELS
from real.quality.measure import Reference
from real.reports.elements import BAD, PLAIN
from real.reports.origin import Origin
from real.solvers.sampling import latents, sample
from tests.refusals import refusal
from theory.calibration import calibrate, validate
from theory.diffusion.likelihood_bound import gain_weights
from theory.estimators import control_variates as by
from theory.estimators.control_variates import REGRESSION
from theory.statistics.intervals import Estimate
from theory.statistics.shrinkage import CERTIFIED, SHRUNK, UNSHRUNK
from theory.support.errors import NonFiniteError


@pytest.fixture(scope="module")
def bars():
    """Evaluations that were announced and counted, of each progress bar."""
    return []


@pytest.fixture(scope="module")
def studied(tmp_path_factory, bars):
    @contextmanager
    def counting(total, name, quiet):
        counted = []
        yield counted.append
        bars.append((total, sum(counted)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("real.commands.arguments.counting", counting)
        patch.setattr(repair_study, "REPEATS", 1)
        patch.setattr(repair_study, "TIMED_SAMPLES", 8)
        out = tmp_path_factory.mktemp("study")
        arguments = ["--quiet", "--times", "2", "--images", "24", "--seeds", "3", "--nfe", "2,3",
                     "--samples", "6", "--few", "24", "--few-seeds", "3"]  # fmt: skip
        assert main(["repair-study", "digits", "--out", str(out), *arguments]) == 0
    return out


def test_the_study_has_every_network_correction_and_number_of_evaluations(studied):
    rows = json.loads((studied / "repair-study.json").read_text())
    cells = {(r["network"], r["correction"], r["seed"]) for r in rows["losses"]}
    assert len(cells) == len(rows["losses"]) == 3 * (6 + 3 * 10)
    assert {r["nfe"] for r in rows["samples"]} == {2, 3}
    spent = {r["evaluations"] for r in rows["losses"]}
    assert spent == {0, 48}
    for row in rows["losses"]:
        if row["correction"] == "none":
            assert row["fall"]["value"] == 0


def test_the_study_measures_the_full_network_against_itself(studied):
    rows = json.loads((studied / "repair-study.json").read_text())["losses"]
    above = {
        (r["network"], r["correction"]): r["above_full"]["value"] for r in rows if r["seed"] == 0
    }
    assert above["full", "none"] == 0 < above["int4", "none"] < above["int3", "none"]


def test_all_corrections_are_compared_with_the_most_evaluations_where_twenty_are_not_tried(studied):
    found = json.loads((studied / "repair-study.json").read_text())
    assert found["tables"]["compared"] == 3
    corrections = {(r["nfe"], r["correction"]) for r in found["samples"]}
    assert (3, "PTQD") in corrections and (2, "PTQD") not in corrections
    assert "at 3 evaluations" in found["verdict"]["sentence"]


def test_more_images_to_look_for_harm_than_there_are_is_refused(tmp_path, monkeypatch):
    def run(*given):
        raise AssertionError("it began")

    monkeypatch.setattr(repair_study, "run_repair_study", run)
    arguments = ["repair-study", "digits", "--images", "24", "--few", "25", "--quiet"]
    with refusal("few: expected 24 at most, the images to calibrate on, got 25"):
        main([*arguments, "--out", str(tmp_path / "s")])
    assert not list(tmp_path.iterdir())
    with pytest.raises(AssertionError, match="it began"):  # the default takes what there is
        main([*arguments[:4], "--quiet", "--out", str(tmp_path / "s")])


def study_of(digits_checkpoint):
    return repair_study.RepairStudyPlan(
        checkpoint=digits_checkpoint, images=ConditionedImages(digits("calibration")),
        held_out=ConditionedImages(digits("held-out")), times=digits_checkpoint.schedule.grid(2),
        seeds=(0,), nfe=(2,), samples=4, solver="ddim", few=4, few_seeds=1,
    )  # fmt: skip


def reference_of(plan):
    return Reference.of(PIXELS, ImageSource.of("held out", plan.held_out.images), "cpu")


def test_samples_that_diverge_are_infinitely_far(digits_checkpoint, monkeypatch):
    def diverging(*_, **__):
        raise NonFiniteError("network: NaN")

    monkeypatch.setattr(repair_study, "sample", diverging)
    plan = study_of(digits_checkpoint)
    reference = Reference(PIXELS, torch.zeros(2, 64), torch.zeros(1), "cpu")
    contender = repair_study.Contender(digits_checkpoint)
    assert repair_study.sampled_distance(plan, contender, reference, 2, 0) == math.inf


def test_the_page_of_the_study_shows_its_tables(studied):
    page = (studied / "repair-study.html").read_text()
    shown = json.loads((studied / "repair-study.json").read_text())["tables"]
    assert "PTQD" in page and "order 1 on full precision&#39;s predictions" in page
    for row in shown["frechet_compared"]:
        for cell in row["cells"]:
            assert cell is None or f"{cell['value']:.3f}" in page


@pytest.mark.parametrize(("upper", "doubt"), [(1.0, ""), (1.2, ", intervals overlap")])
def test_the_nearest_is_said_to_be_in_doubt_where_intervals_overlap(upper, doubt):
    near, far = (
        {"value": 0.9, "lower": 0.8, "upper": upper},
        {"value": 2.0, "lower": 1.1, "upper": 3.0},
    )
    tables = {
        "networks": ["int3"], "compared": 20,
        "frechet_compared": [
            {"correction": "order 0", "cells": [far]}, {"correction": "order 1", "cells": [near]},
        ],
    }  # fmt: skip
    assert _verdict(tables).sentence.endswith(f"of each network: int3 order 1 (0.9{doubt}).")


def test_few_images_are_chosen_anew_by_each_seed(digits_checkpoint):
    plan = study_of(digits_checkpoint)
    first, other, again = (
        torch.cat([batch.ids for batch in plan.chosen_images(6, seed)]).tolist()
        for seed in (0, 1, 0)
    )
    assert first == again and set(first) != set(other) and len(set(first)) == 6


def test_harm_is_a_whole_interval_below_zero():
    falls = [(-2.0, -1.0, -0.5), (-1.0, 0.2, 1.0), (0.1, 1.0, 2.0)]
    rows = [
        {"network": "n", "policy": "p", "fall": {"lower": low, "value": value, "upper": high}}
        for low, value, high in falls
    ]
    (found,) = _few(rows)
    assert (found["harmed"], found["least"]) == (1, -1.0)
    assert found["median"] == pytest.approx(0.2)


def test_each_contender_is_corrected_as_its_name_says(digits_checkpoint, monkeypatch):
    def corrections(plan, network, images, seed, estimator=REGRESSION):
        return lambda policy, order: partial(abs, estimator, policy, order)

    monkeypatch.setattr(repair_study, "_corrections", corrections)
    found = repair_study._contenders(study_of(digits_checkpoint), digits_checkpoint, None, 0)
    assert found[repair_study.PLAIN_AVERAGE].correction.args == (by.PLAIN, UNSHRUNK, 0)
    assert found[repair_study.ORDER_0].correction.args == (REGRESSION, CERTIFIED, 0)
    assert found[repair_study.ORDER_1].correction.args == (REGRESSION, CERTIFIED, 1)
    assert found[repair_study.ORDER_1_SHRUNK].correction.args == (REGRESSION, SHRUNK, 1)


def test_what_needs_full_precision_has_half_of_the_images(digits_checkpoint, monkeypatch):
    """And what others published is fitted to what it needs, with the seed of the repetition."""
    full = digits_checkpoint.predict

    def told(network, images, seed):
        return network.reference is full, len(images), seed

    def corrections(plan, network, images, seed, estimator=REGRESSION):
        return lambda policy, order: partial(abs, *told(network, images, seed), policy, order)

    def measured(network, images, *, times, seed, **options):
        return SimpleNamespace(told=told(network, images, seed), evaluations=77)

    def trained(network, images, times, *, evaluations, seed):
        return replace(network, reference=f"{len(images)} {evaluations} {seed}")

    monkeypatch.setattr(repair_study, "_corrections", corrections)
    monkeypatch.setattr(repair_study, "measure_channels", measured)
    monkeypatch.setattr(repair_study, "with_trained_biases", trained)
    for name in ("epsilon_scaling", "timestep_aware_scale", "mean_and_correlation"):
        fit = lambda found, name=name: SimpleNamespace(correction=partial(abs, name, *found.told))  # noqa: E731
        monkeypatch.setattr(repair_study, f"fit_{name}", fit)
    plan = study_of(digits_checkpoint)
    network = repair_study.damaged(digits_checkpoint, Damage("int4"))
    found = repair_study._contenders(plan, network, Damage("int4"), 6)
    count, budget = len(plan.images), 2 * len(plan.images)
    half = (count + 1) // 2
    biases = found.pop(repair_study.BIASES)
    assert biases.network.reference == f"{count} {budget} 6" and biases.correction is None
    assert {name: each.correction and each.correction.args for name, each in found.items()} == {
        "none": None,
        "plain average": (False, count, 6, UNSHRUNK, 0),
        "order 0": (False, count, 6, CERTIFIED, 0),
        "order 1": (False, count, 6, CERTIFIED, 1),
        "order 1, shrunk": (False, count, 6, SHRUNK, 1),
        "epsilon scaling": ("epsilon_scaling", False, count, 6),
        "order 1 on full precision's predictions": (True, half, 6, CERTIFIED, 1),
        "PTQD": ("mean_and_correlation", True, half, 6),
        "timestep-aware scale": ("timestep_aware_scale", True, half, 6),
    }
    spent = {name: each.evaluations for name, each in found.items()}
    with_full = ("order 1 on full precision's predictions", "PTQD", "timestep-aware scale")
    assert spent == dict.fromkeys(found, budget) | {"none": 0} | dict.fromkeys(with_full, 77)
    assert biases.evaluations == budget
    assert all(each.network is network for each in found.values())


def small_study(checkpoint, **settings):
    return replace(
        study_of(checkpoint), images=ConditionedImages(digits("calibration")[:40]),
        held_out=ConditionedImages(digits("held-out")[:16]), **settings,
    )  # fmt: skip


def test_losses_are_those_that_validation_finds(digits_checkpoint):
    """Of the network as it is and of its calibration, on the noise of the seed."""
    plan = small_study(digits_checkpoint)
    network = digits_checkpoint
    correction = repair_study._corrections(plan, network.network, plan.images, 6)(CERTIFIED, 1)
    contenders = {
        "none": repair_study.Contender(network), "order 1": repair_study.Contender(network, correction),
    }  # fmt: skip
    found = repair_study._losses(plan, contenders, 6)
    made = calibrate(
        network.predict, network.schedule, images=plan.images.images, times=plan.times, seed=6
    )
    expected = validate(network.predict, made, images=plan.held_out.images, seed=6)
    torch.testing.assert_close(found["none"], expected.losses)
    gains = found["none"] - found["order 1"]
    assert gains.mean(0).tolist() == pytest.approx([e.value for e in expected.gain()], rel=1e-4)


def test_a_row_holds_a_contender_against_the_full_and_against_the_bare_network(digits_checkpoint):
    plan = study_of(digits_checkpoint)
    weights = gain_weights(digits_checkpoint.schedule, digits_checkpoint.target, plan.times)
    full, bare, own = torch.randn(
        3, 5, len(plan.times), generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    contenders = {
        "none": repair_study.Contender(digits_checkpoint),
        "order 1": repair_study.Contender(digits_checkpoint, None, 9),
    }
    found = {"none": bare, "order 1": own}
    _, row = repair_study._loss_rows(plan, contenders, found, full)
    assert (row["correction"], row["evaluations"]) == ("order 1", 9)
    assert row["loss"] == pytest.approx(own.mean(0).tolist())
    assert row["above_full"] == pytest.approx(vars(Estimate.of_mean((own - full) @ weights)))
    assert row["fall"] == pytest.approx(vars(Estimate.of_mean((bare - own) @ weights)))


def test_samples_of_a_contender_have_its_correction_and_the_noise_of_the_seed(digits_checkpoint):
    plan = small_study(digits_checkpoint, solver="ddpm")
    contender = repair_study.Contender(digits_checkpoint, lambda x_t, t, y, condition=None: 0.5 * y)
    reference = reference_of(plan)
    found = repair_study.sampled_distance(plan, contender, reference, 3, 6)
    drawn = sample(
        digits_checkpoint, lambda x_t, t: 0.5 * digits_checkpoint.predict(x_t, t),
        latents(digits_checkpoint, 4, 6), solver="ddpm", nfe=3, seed=6,
    ).images  # fmt: skip
    assert found == pytest.approx(reference.against(drawn, 6, 4)["frechet"])


def test_each_choice_of_few_images_is_calibrated_on_by_itself(digits_checkpoint, monkeypatch):
    """Both policies, from images and noise of the choice; judged on the noise of the first seed."""
    plan = small_study(digits_checkpoint, few=7, few_seeds=3, seeds=(6, 8))
    asked, judged = [], []

    def corrections(plan, network, images, seed, estimator=REGRESSION):
        asked.append((seed, images.images))
        return lambda policy, order: partial(abs, seed, policy, order)

    def losses(plan, contenders, seed):
        judged.append(seed)
        known = {"certified": CERTIFIED, "shrunk": SHRUNK}
        for name, each in contenders.items():
            policy, _, choice = name.partition(" ")
            expected = (int(choice), known[policy], 1) if choice else None
            assert (each.correction and each.correction.args) == expected
        return {name: torch.full((4, 2), float(k)).double() for k, name in enumerate(contenders)}

    monkeypatch.setattr(repair_study, "_corrections", corrections)
    monkeypatch.setattr(repair_study, "_losses", losses)
    rows = repair_study._few(plan, digits_checkpoint, plan.progress)["rows"]
    assert judged == [6]
    assert [seed for seed, _ in asked] == [0, 1, 2]
    for seed, images in asked:
        assert torch.equal(images, plan.chosen_images(7, seed).images)
    assert [row["policy"] for row in rows] == ["certified", "shrunk"] * 3
    weights = gain_weights(digits_checkpoint.schedule, digits_checkpoint.target, plan.times)
    falls = [row["fall"]["value"] for row in rows]
    assert falls == pytest.approx([-k * weights.sum().item() for k in range(1, 7)])


def test_the_cost_of_sampling_is_the_median_of_the_ratios_of_neighbours(
    digits_checkpoint, monkeypatch
):
    """Order 0 is made in 3 s and order 1 in 5; samples take 1, 4 and 9 s, and 3, 8 and 9 with order 1."""
    lengths = [3.0, 5.0, 1.0, 3.0, 4.0, 8.0, 9.0, 9.0]
    clock = iter([tick for length in lengths for tick in (100, 100 + length)])
    made, drawn = [], []
    calibrated = repair_study.calibrate

    def calibrating(*given, **options):
        made.append(options["order"])
        return calibrated(*given, **options)

    monkeypatch.setattr(repair_study, "REPEATS", 3)
    monkeypatch.setattr(repair_study, "calibrate", calibrating)
    monkeypatch.setattr(
        repair_study, "sample", lambda checkpoint, predict, noise, **_: drawn.append(predict)
    )
    monkeypatch.setattr(repair_study, "time", SimpleNamespace(process_time=lambda: next(clock)))
    found = repair_study.sampling_cost(small_study(digits_checkpoint))
    assert found == {
        "calibrate_order_0": 3, "calibrate_order_1": 5, "sample": 4, "sample_order_1": 8, "ratio": 2.0,
    }  # fmt: skip
    assert made == [0, 1]
    orders = [getattr(each, "calibration", None) for each in drawn]
    assert [c and c.provenance["order"] for c in orders] == [None, 1] * 3


def test_about_as_many_evaluations_are_told_before_as_are_made(studied, bars):
    ((told, counted),) = bars
    assert told == pytest.approx(counted, rel=0.1)


def planted(checkpoint):
    """A study of two seeds whose means are 100 (network) + 10 (correction) + evaluations."""
    plan = small_study(checkpoint, seeds=(0, 1), nfe=(5, 20), samples=9, few=7, few_seeds=3)
    losses, samples, few = [], [], []
    for i, network in enumerate(repair_study.NETWORKS):
        names = [*repair_study.MAIN, "PTQD"] if i else repair_study.MAIN
        for k, correction in enumerate(names):
            for seed, off in ((0, -1.0), (1, 1.0)):
                value = 100.0 * i + 10.0 * k + off
                of = {"network": network, "seed": seed, "correction": correction}
                loss = [2.0**i * (k + 1) + off / 2, 8.0]
                losses.append(of | {"loss": loss, "above_full": {"value": value}})
                samples += [
                    of | {"nfe": nfe, "frechet": value + nfe}
                    for nfe in plan.nfe
                    if correction != "PTQD" or nfe == 20
                ]
        few += [
            {"network": network, "policy": policy, "fall": estimate(value)}
            for policy, values in (("certified", (1.0, 2.0, 6.0)), ("shrunk", (-2.0, -1.0, 3.0)))
            for value in values
        ]
    cost = {"calibrate_order_0": 1.5, "calibrate_order_1": 2.5, "sample": 1.0, "sample_order_1": 1.25,
            "ratio": 1.25}  # fmt: skip
    return plan, repair_study.RepairStudy(losses, samples, few, cost)


def estimate(value, room=0.5):
    return {"value": value, "lower": value - room, "upper": value + room}


@pytest.fixture(scope="module")
def reported(digits_checkpoint):
    plan, study = planted(digits_checkpoint)
    return report.repair_study_report(plan, study, "a distance", 0.25, Origin("repair-study"))


def test_each_cell_is_the_mean_of_its_network_and_correction(reported):
    above, distances = reported.sections[:2]
    half = f"± {12.706205:.2g}"  # Student's of one degree of freedom, error of the mean 1
    for table, extra, form in ((above.tables[0], 0, "+.3f"), (distances.tables[0], 20, ".3f")):
        assert table.columns == ("correction", *repair_study.NETWORKS)
        assert [row[0] for row in table.rows] == [*repair_study.MAIN, "PTQD"]
        for k, (_, *cells) in enumerate(table.rows):
            for i, cell in enumerate(cells):
                if k == 4 and not i:
                    assert cell == "–"
                else:
                    assert (cell.text, cell.beside) == (f"{100 * i + 10 * k + extra:{form}}", half)
    over = distances.tables[1]
    assert over.columns == ("network", "evaluations", *repair_study.MAIN)
    places = [(nfe, i) for nfe in (5, 20) for i in range(4)]
    names = list(repair_study.NETWORKS)
    for (network, evaluations, *cells), (nfe, i) in zip(over.rows, places, strict=True):
        assert (network, evaluations) == (names[i], str(nfe))
        assert [cell.text for cell in cells] == [f"{100 * i + 10 * k + nfe:.3f}" for k in range(4)]


def test_words_say_the_floor_the_cost_and_each_distance(reported):
    _, distances, few, cost, _ = reported.sections
    assert distances.text == ("Other real images are at 0.250.",)
    assert distances.tables[0].caption == "a distance at 20 evaluations"
    assert cost.text == (
        "Order 1 takes 25.0 % more processor time to sample than no calibration, and its calibration "
        "2.50 s where order 0 takes 1.50 s.",
    )
    assert reported.summary == [
        "a distance of 9 samples, 20 evaluations:",
        "  none: full 20, int8 120, int4 220, int3 320",
        "  plain average: full 30, int8 130, int4 230, int3 330",
        "  order 0: full 40, int8 140, int4 240, int3 340",
        "  order 1: full 50, int8 150, int4 250, int3 350",
        "  PTQD: int8 160, int4 260, int3 360",
        "order 1 adds 25.0% to sampling time",
    ]
    (table,) = few.tables
    assert table.caption.startswith("Order 1 from 7 images") and "3 choices" in table.caption
    certified, shrunk = ([*row[:4], row[4].text, row[4].tone] for row in table.rows[:2])
    assert certified == ["full", "certified", "2.000", "1.000", "0", PLAIN]
    assert shrunk == ["full", "shrunk", "-1.000", "-2.000", "2", BAD]
    told = {
        name: reported.numbers["tables"][name] for name in ("images", "held_out", "times", "seeds")
    }
    assert told == {"images": 40, "held_out": 16, "times": 2, "seeds": 2}


def test_losses_are_drawn_over_full_precisions_and_distances_beside_its_own(reported):
    losses, distances = reported.panels[:3], reported.panels[3:]
    for i, (loss, distance) in enumerate(zip(losses, distances, strict=True), start=1):
        one, other = Figure().subplots(1, 2)
        loss.draw(one)
        distance.draw(other)
        for k, name in enumerate(repair_study.MAIN):
            assert heights(one, name) == pytest.approx([2.0**i * (k + 1), 1.0])
            assert heights(other, name) == pytest.approx([100 * i + 10 * k + n for n in (5, 20)])
        assert heights(other, "full, none") == pytest.approx([5, 20])


def heights(ax, label):
    (line,) = (line for line in ax.lines if line.get_label() == label)
    return list(line.get_ydata())
