"""The study of repair from the command line: every network, correction and number of evaluations."""

import json
import math
from functools import partial

import pytest
import torch

from real.calibrated.conditions import ConditionedImages
from real.cli import main
from real.experiments import repair_study
from real.experiments.repair_study_report import _few, _verdict
from real.images.digits import digits
from real.quality.features import PIXELS
from real.quality.measure import Reference
from tests.refusals import refusal
from theory.estimators.control_variates import PLAIN, REGRESSION
from theory.statistics.shrinkage import CERTIFIED, SHRUNK, UNSHRUNK
from theory.support.errors import NonFiniteError


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
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
    assert found[repair_study.PLAIN_AVERAGE].correction.args == (PLAIN, UNSHRUNK, 0)
    assert found[repair_study.ORDER_0].correction.args == (REGRESSION, CERTIFIED, 0)
    assert found[repair_study.ORDER_1].correction.args == (REGRESSION, CERTIFIED, 1)
    assert found[repair_study.ORDER_1_SHRUNK].correction.args == (REGRESSION, SHRUNK, 1)
