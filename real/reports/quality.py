"""What ``python -m real quality`` writes and says."""

from pathlib import Path
from typing import Any

from real.quality.measure import Plan, Reference, over_seeds
from real.reports import quality_plots as plots
from theory.statistics.intervals import FEW_IMAGES, LEVEL, cautions
from theory.support.output import replacing_folder, write_json

NAMES = {"kid": "kernel distance", "tint": "error of the mean colour"}


def numbers(
    plan: Plan,
    reference: Reference,
    rows: list[dict[str, Any]],
    real_images: dict[str, Any],
    **settings: Any,
) -> dict[str, Any]:
    """Everything that ``quality.json`` holds."""
    return {
        "checkpoint": plan.checkpoint.reference,
        "fingerprint": plan.checkpoint.fingerprint,
        "solver": plan.solver,
        "distance": reference.features.distance,
        "features": reference.features.description,
        "feature_width": reference.rows.shape[1],
        "images": len(reference.rows),
        "samples": plan.samples,
        "seeds": list(plan.seeds),
        "confidence": LEVEL,
        "settings": settings,
        "real_images": real_images,
        "over_seeds": over_seeds(rows),
        "rows": rows,
    }


def summary(report: dict[str, Any]) -> list[str]:
    """The main figures in words."""
    head = (
        f"{report['distance']} of {report['samples']} samples to {report['images']} images; "
        f"features: {report['features']}; {len(report['seeds'])} seeds, {report['solver']}; "
        f"other real images are at {report['real_images']['frechet']:.4g}"
    )
    least = max(FEW_IMAGES, report["feature_width"] + 1)  # else the covariance is singular
    lines = cautions("images", report["images"], least)
    lines += cautions("samples", report["samples"], least)
    lines += [head]
    for row in report["over_seeds"]:
        for name in ("frechet", "kid", "tint"):
            before, after, change = (row[name][which] for which in ("before", "after", "change"))
            lines.append(
                f"{row['nfe']} evaluations, {NAMES.get(name, report['distance'])}: "
                f"{before['value']:.4g} before, {after['value']:.4g} after, change "
                f"{change['value']:+.2g} [{change['lower']:+.2g}, {change['upper']:+.2g}]"
            )
    return lines


def write(out: Path, report: dict[str, Any]) -> None:
    """Write ``quality.json`` and the figure."""
    with replacing_folder(out) as folder:
        write_json(folder / "quality.json", report)
        plots.save(folder, report)
