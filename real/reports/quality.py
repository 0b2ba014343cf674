"""The report of ``python -m real quality``: distances without and with calibration, over seeds."""

from typing import Any

from matplotlib.figure import Figure

from real.quality.measure import MEASURES, QualityPlan, Reference, over_seeds
from real.reports.page import Report, interval
from real.reports.quality_figure import draw_quality
from theory.statistics.intervals import FEW_IMAGES, LEVEL, cautions

NAMES = {"kid": "kernel distance", "tint": "error of the mean colour"}


class QualityReport(Report):
    """Numbers and figure of a comparison of samples; it has no page."""

    name = "quality"
    figures = ("quality.png", "quality.pdf")
    size = (8.0, 6.0)

    @classmethod
    def of(
        cls,
        plan: QualityPlan,
        reference: Reference,
        rows: list[dict[str, Any]],
        real_images: dict[str, Any],
        settings: dict[str, Any],
    ) -> "QualityReport":
        """The report of what ``measure_quality`` found.

        Args:
            plan: what was sampled.
            reference: the real images that samples were compared with.
            rows: one per network, number of evaluations and seed.
            real_images: distances of other real images.
            settings: of the command, to be told.
        """
        return cls(
            {
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
        )

    def draw(self, figure: Figure) -> None:
        """See ``draw_quality``."""
        draw_quality(figure, self.numbers)

    def summary(self) -> list[str]:
        """What was compared, and each measure before and after with its change."""
        report = self.numbers
        least = max(FEW_IMAGES, report["feature_width"] + 1)  # else the covariance is singular
        lines = cautions("images", report["images"], least)
        lines += cautions("samples", report["samples"], least)
        lines += [
            f"{report['distance']} of {report['samples']} samples to {report['images']} images; "
            f"features: {report['features']}; {len(report['seeds'])} seeds, {report['solver']}; "
            f"other real images are at {report['real_images']['frechet']:.4g}"
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
