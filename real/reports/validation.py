"""The report of ``python -m real validate``: what held-out images say of a calibration."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from real.families.checkpoint import Checkpoint
from real.reports.image_grid import image_grid
from real.reports.page import Report, interval
from real.reports.validation_figure import draw_validation
from real.solvers.sampling import Samples
from theory.calibration import Calibration, Validation
from theory.diffusion.likelihood_bound import bits_per_dim
from theory.estimators.slopes import NONE
from theory.statistics.intervals import LEVEL, cautions


@dataclass(frozen=True)
class ValidationReport(Report):
    """Numbers, figure, samples and page of a validation.

    Attributes:
        images: what is shown as grids: samples ``before`` and ``after`` calibration, and
            ``held_out`` images; each (n, c, h, w) in [-1, 1].
    """

    images: dict[str, Tensor]
    name = "report"
    figures = ("calibration.png", "calibration.pdf")
    size = (10.5, 3.1)
    template = "report.html.j2"

    @classmethod
    def of(
        cls,
        checkpoint: Checkpoint,
        validation: Validation,
        samples: tuple[Samples, Samples],
        held_out: Tensor,
        settings: dict[str, Any],
    ) -> "ValidationReport":
        """The report of a validation.

        Args:
            checkpoint: the network.
            validation: of its calibration.
            samples: from the same noise, without and with calibration.
            held_out: images (n, c, h, w) to show.
            settings: of the command, to be told.
        """
        before, after = samples
        return cls(
            _numbers(checkpoint, validation)
            | {"settings": settings, "sampling": _sampling(before, after)},
            {"before": before.images, "after": after.images, "held_out": held_out},
        )

    def draw(self, figure: Figure) -> None:
        """See ``draw_validation``."""
        draw_validation(figure, self.numbers)

    def page(self) -> dict[str, Any]:
        """Numbers and summary."""
        return {"report": self.numbers, "summary": self.summary()}

    def write_into(self, folder: Path) -> None:
        """Write the grids of images too."""
        for name, images in self.images.items():
            image_grid(images).save(folder / f"samples_{name}.png")
        super().write_into(folder)

    def summary(self) -> list[str]:
        """How far the likelihood bound and the denoising loss fall, and what is applied."""
        report = self.numbers
        nats, bits = report["bound_gain_nats"], report["bound_gain_bits_per_dim"]
        times = report["times"]
        better = sum(row["heldout_gain_lower"] > 0 for row in times)
        worse = sum(row["heldout_gain_upper"] < 0 for row in times)
        best = max(times, key=lambda row: row["heldout_gain"] / row["denoising_loss"])
        share = best["heldout_gain"] / best["denoising_loss"]
        return [
            *cautions("held-out images", report["images_held_out"]),
            f"held-out images: {report['images_held_out']} (calibrated on "
            f"{report['images_calibration']}, none in common)",
            f"likelihood bound: lower by {nats['value']:.4f} {interval(nats, '.4f')} nats, "
            f"{bits['value']:.2e} {interval(bits, '.2e')} bits/dim, "
            f"log-SNR {report['log_snr_from']:.1f} to {report['log_snr_to']:.1f}",
            *_parts(report),
            f"denoising loss: lower at {better} of {len(times)} times and higher at {worse} "
            f"(per-time interval clear of zero); at best by {share:.1%} (t = {best['t']:g})",
        ]


def _numbers(checkpoint: Checkpoint, validation: Validation) -> dict[str, Any]:
    calibration = validation.calibration
    log_snr = calibration.schedule.log_snr(calibration.times)
    nats = validation.bound_gain()
    dimensions = math.prod(checkpoint.shape)
    return {
        "checkpoint": checkpoint.reference,
        "fingerprint": checkpoint.fingerprint,
        "target": checkpoint.target.name,
        "images_calibration": len(calibration.image_ids),
        "images_held_out": validation.n,
        "images_left_out": validation.left_out,
        "dimensions": dimensions,
        "confidence": LEVEL,
        "times": _rows(validation),
        "log_snr_from": log_snr.min().item(),
        "log_snr_to": log_snr.max().item(),
        "order": calibration.provenance.get("order", 0),
        "smoothing": calibration.smoothing,
        "bands": calibration.bands,
        "total_certificate": calibration.total_certificate,
        "shift_bound_gain_nats": vars(validation.shift_bound_gain()),
        "bound_gain_nats": vars(nats),
        "bound_gain_bits_per_dim": vars(bits_per_dim(nats, dimensions)),
    }


def _sampling(before: Samples, after: Samples) -> dict[str, Any]:
    """How the samples were drawn, from the same noise without and with calibration."""
    return {
        "solver": before.solver,
        "nfe": before.nfe,
        "samples": len(before.images),
        "seconds_before": before.seconds,
        "seconds_after": after.seconds,
        "mean_change": (after.images - before.images).abs().mean().item(),
    }


def _parts(report: dict[str, Any]) -> list[str]:
    """Where the shift is applied, and the slopes if there are any."""
    rows = report["times"]
    shifted = sum(row["weight"] > 0 for row in rows)
    lines = [
        f"shift: applied at {shifted} of {len(rows)} times; the others are left alone, as no gain "
        "is certain there"
    ]
    if report["order"]:
        sloped = sum(row["slopes"] not in (None, NONE) for row in rows)
        lines[0] += f"; alone it lowers the bound by {report['shift_bound_gain_nats']['value']:.4f}"
        lines.append(f"slopes: applied at {sloped} of {len(rows)} times")
    bound = report["total_certificate"]
    if bound is not None and bound > 0:
        lines.append(f"certified before, from the calibration images: at least {bound:.4f} nats")
    return lines


def _rows(validation: Validation) -> list[dict[str, Any]]:
    """Everything about each time."""
    c = validation.calibration
    kinds, slope_certificates = _slopes(c)
    eta_sq, gain = validation.eta_sq, validation.gain()
    columns = {
        "t": c.times.tolist(),
        "log_snr": c.schedule.log_snr(c.times).tolist(),
        "eta_sq": [e.value for e in eta_sq],
        "eta_sq_lower": [e.lower for e in eta_sq],
        "eta_sq_upper": [e.upper for e in eta_sq],
        "eta_sq_calibration": [vars(e) for e in c.eta_sq],
        "eta_sq_of_set": [vars(e) for e in c.eta_sq_of_set],
        "heldout_gain": [e.value for e in gain],
        "heldout_gain_lower": [e.lower for e in gain],
        "heldout_gain_upper": [e.upper for e in gain],
        "denoising_loss": [e.value for e in validation.loss()],
        "error_energy": c.error_energy.tolist(),
        "plain_error_energy": c.plain_error_energy.tolist(),
        "weight": c.weights.tolist(),
        "certificate": c.certificates.tolist(),
        "shift_gain_expected": c.gains.tolist(),
        "shift_error_left_out": [
            max(0.0, e.value - gain) for e, gain in zip(c.eta_sq, c.gains.tolist(), strict=True)
        ],
        "slopes": kinds,
        "slope_certificate": slope_certificates,
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _slopes(calibration: Calibration) -> tuple[list[str | None], list[float | None]]:
    """Kind of slopes and their certificate, per time; None in a calibration of order 0."""
    if calibration.slopes is None:
        return [None] * len(calibration.times), [None] * len(calibration.times)
    return list(calibration.slopes.kinds), calibration.slopes.certificates.tolist()
