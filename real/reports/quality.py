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
        "solver": plan.samplers["before"].name,
        "solver_after": plan.samplers["after"].name,
        "distance": reference.features.distance,
        "features": reference.features.description,
        "feature_width": reference.rows.shape[1],
        "images": len(reference.rows),
        "samples": plan.samples,
        "seeds": list(plan.seeds),
        "confidence": LEVEL,
        **more,
        "over_seeds": over_seeds(rows),
        "rows": rows,
    }
    return Report(
        "quality", numbers, _summary(numbers), partial(draw_quality, report=numbers), (8.0, 6.0),
        ("quality.png", "quality.pdf"),
    )  # fmt: skip


def _solvers(report: dict[str, Any]) -> str:
    before, after = report["solver"], report["solver_after"]
    return str(before) if before == after else f"{before} before, {after} after"


def _summary(report: dict[str, Any]) -> list[str]:
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
            before, after, change = (row[name][part] for part in ("before", "after", "change"))
            lines.append(
                f"{row['nfe']} evaluations, {NAMES.get(name, report['distance'])}: "
                f"{before['value']:.4g} before, {after['value']:.4g} after, change "
                f"{change['value']:+.2g} {interval(change, '+.2g')}"
            )
    return lines
