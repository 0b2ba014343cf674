"""The report of ``python -m real quality``: distances without and with calibration, over seeds."""

from functools import partial
from typing import Any

from real.quality.measure import MEASURES, QualityPlan, Reference, over_seeds
from real.reports.page import Report, interval
from real.reports.quality_figure import draw_quality
from theory.statistics.intervals import FEW_IMAGES, LEVEL, cautions

NAMES = {"kid": "kernel distance", "tint": "error of the mean colour"}


def quality_report(
    plan: QualityPlan, reference: Reference, rows: list[dict[str, Any]], **more: Any
) -> Report:
    """What ``measure_quality`` found of a plan, in rows; it has no page.

    ``more`` has ``settings`` of the command, and the distances of other ``real_images``.
    """
    numbers = {
        "checkpoint": plan.checkpoint.reference,
        "fingerprint": plan.checkpoint.fingerprint,
        **more,
        **distances(plan, reference, rows),
    }
    return Report(
        "quality", numbers, distance_lines(numbers, ("before", "after")),
        partial(draw_quality, report=numbers), (8.0, 6.0), ("quality.png", "quality.pdf"),
    )  # fmt: skip


def distances(
    plan: QualityPlan, reference: Reference, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    """What was sampled, what it was compared with, and the rows with their means over seeds."""
    first, second = plan.samplers
    return {
        "solver": plan.samplers[first].name,
        "solver_after": plan.samplers[second].name,
        "distance": reference.features.distance,
        "features": reference.features.description,
        "feature_width": reference.rows.shape[1],
        "images": len(reference.rows),
        "samples": plan.samples,
        "seeds": list(plan.seeds),
        "confidence": LEVEL,
        "over_seeds": over_seeds(rows, (first, second)),
        "rows": rows,
    }


def _solvers(report: dict[str, Any]) -> str:
    before, after = report["solver"], report["solver_after"]
    return str(before) if before == after else f"{before} before, {after} after"


def distance_lines(report: dict[str, Any], pair: tuple[str, str]) -> list[str]:
    """The distances of the pair's samples and their changes in words, with cautions."""
    least = max(FEW_IMAGES, report["feature_width"] + 1)  # else the covariance is singular
    lines = [
        *cautions("images", report["images"], least),
        *cautions("samples", report["samples"], least),
        f"{report['distance']} of {report['samples']} samples to {report['images']} images; "
        f"features: {report['features']}; {len(report['seeds'])} seeds, {_solvers(report)}; "
        f"other real images are at {report['real_images']['frechet']:.4g}",
    ]
    for row in report["over_seeds"]:
        for name in MEASURES:
            before, after, change = (row[name][part] for part in (*pair, "change"))
            lines.append(
                f"{row['nfe']} evaluations, {NAMES.get(name, report['distance'])}: "
                f"{before['value']:.4g} {pair[0]}, {after['value']:.4g} {pair[1]}, change "
                f"{change['value']:+.2g} {interval(change, '+.2g')}"
            )
    return lines
