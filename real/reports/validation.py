"""The report of a validation: numbers as JSON, figures, and a page that shows both."""

from pathlib import Path
from typing import Any

from torch import Tensor

from real.families.checkpoint import Checkpoint
from real.reports import validation_plots as plots
from real.reports.templates import render
from real.solvers.sampling import Samples
from theory.calibration.result import Calibration
from theory.calibration.validation import Validation
from theory.diffusion.likelihood_bound import bits_per_dim
from theory.estimators.slopes import NONE
from theory.statistics.intervals import LEVEL, Estimate, cautions
from theory.support.output import replacing_folder, write_json


def sampling(before: Samples, after: Samples) -> dict[str, Any]:
    """How the samples of a report were drawn, from the same noise without and with calibration."""
    return {
        "solver": before.solver,
        "nfe": before.nfe,
        "samples": len(before.images),
        "seconds_before": before.seconds,
        "seconds_after": after.seconds,
        "mean_change": (after.images - before.images).abs().mean().item(),
    }


def numbers(
    checkpoint: Checkpoint, validation: Validation, sampled: dict[str, Any], **settings: Any
) -> dict[str, Any]:
    """Everything that ``report.json`` holds."""
    calibration = validation.calibration
    log_snr = calibration.schedule.log_snr(calibration.times)
    nats = validation.bound_gain()
    dimensions = checkpoint.shape[0] * checkpoint.shape[1] * checkpoint.shape[2]
    return {
        "checkpoint": checkpoint.reference,
        "fingerprint": checkpoint.fingerprint,
        "target": checkpoint.target.name,
        "images_calibration": len(calibration.image_ids),
        "images_held_out": validation.n,
        "images_left_out": validation.left_out,
        "dimensions": dimensions,
        "confidence": LEVEL,
        "settings": settings,
        "sampling": sampled,
        "times": _rows(validation),
        "log_snr_from": log_snr.min().item(),
        "log_snr_to": log_snr.max().item(),
        "order": calibration.provenance.get("order", 0),
        "smoothing": calibration.smoothing,
        "bands": calibration.bands,
        "total_certificate": calibration.total_certificate,
        "shift_bound_gain_nats": _plain(validation.shift_bound_gain()),
        "bound_gain_nats": _plain(nats),
        "bound_gain_bits_per_dim": _plain(bits_per_dim(nats, dimensions)),
    }  # fmt: skip


def clear_of_zero(report: dict[str, Any]) -> tuple[int, int]:
    """At how many times the interval of the gain lies above zero, and at how many below."""
    times = report["times"]
    return (
        sum(row["heldout_gain_lower"] > 0 for row in times),
        sum(row["heldout_gain_upper"] < 0 for row in times),
    )


def summary(report: dict[str, Any]) -> list[str]:
    """The main figures in words."""
    nats, bits = report["bound_gain_nats"], report["bound_gain_bits_per_dim"]
    better, worse = clear_of_zero(report)
    best = max(report["times"], key=lambda row: row["heldout_gain"] / row["denoising_loss"])
    share = best["heldout_gain"] / best["denoising_loss"]
    return [
        *cautions("held-out images", report["images_held_out"]),
        f"held-out images: {report['images_held_out']} (calibrated on "
        f"{report['images_calibration']}, none in common)",
        f"likelihood bound: lower by {_interval(nats, '.4f')} nats, {_interval(bits, '.2e')} "
        f"bits/dim, log-SNR {report['log_snr_from']:.1f} to {report['log_snr_to']:.1f}",
        *_parts(report),
        f"denoising loss: lower at {better} of {len(report['times'])} times and higher at {worse} "
        f"(per-time interval clear of zero); at best by {share:.1%} (t = {best['t']:g})",
    ]


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


def _interval(estimate: dict[str, float], style: str) -> str:
    value, lower, upper = (format(estimate[key], style) for key in ("value", "lower", "upper"))
    return f"{value} [{lower}, {upper}]"


def write(
    out: Path, report: dict[str, Any], before: Tensor, after: Tensor, held_out: Tensor
) -> list[str]:
    """Write ``report.json``, the figures and ``report.html``; returns the file names."""
    with replacing_folder(out) as folder:
        write_json(folder / "report.json", report)
        plots.save_all(folder, report)
        for name, images in (("before", before), ("after", after), ("held_out", held_out)):
            plots.grid(images).save(folder / f"samples_{name}.png")
        page = render("report.html.j2", report=report, summary=summary(report))
        (folder / "report.html").write_text(page)
        return sorted(p.name for p in folder.iterdir())


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
        "eta_sq_calibration": [_plain(e) for e in c.eta_sq],
        "eta_sq_of_set": [_plain(e) for e in c.eta_sq_of_set],
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


def _plain(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "lower": estimate.lower, "upper": estimate.upper}
