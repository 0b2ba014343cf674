"""The report of a validation: numbers as JSON, figures, and a page that shows both."""

from pathlib import Path
from typing import Any

from torch import Tensor

from real import plots
from real.checkpoints import Checkpoint
from real.sampling import Samples
from real.templates import render
from theory.estimates import LEVEL, Estimate
from theory.likelihood import bits_per_dim
from theory.program import replacing_folder, write_json
from theory.validation import Validation


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
        "images_calibration": calibration.provenance["images"],
        "images_held_out": validation.n,
        "images_left_out": validation.left_out,
        "dimensions": dimensions,
        "confidence": LEVEL,
        "settings": settings,
        "sampling": sampled,
        "times": [
            {
                "t": t,
                "log_snr": lam,
                "eta_sq": eta_sq.value,
                "eta_sq_lower": eta_sq.lower,
                "eta_sq_upper": eta_sq.upper,
                "heldout_gain": gain.value,
                "heldout_gain_lower": gain.lower,
                "heldout_gain_upper": gain.upper,
                "denoising_loss": loss.value,
                "error_energy": error,
                "plain_error_energy": plain_error,
                "weight": weight,
                "certificate": certificate,
            }
            for t, lam, eta_sq, gain, loss, error, plain_error, weight, certificate in zip(
                calibration.times.tolist(), log_snr.tolist(), validation.eta_sq,
                validation.gain(), validation.loss(), calibration.error_energy.tolist(),
                calibration.plain_error_energy.tolist(),
                calibration.weights.tolist(), calibration.certificates.tolist(),
                strict=True,
            )
        ],
        "log_snr_from": log_snr.min().item(),
        "log_snr_to": log_snr.max().item(),
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
    applied = sum(row["weight"] > 0 for row in report["times"])
    return [
        f"held-out images: {report['images_held_out']} (calibrated on "
        f"{report['images_calibration']}, none in common)",
        f"likelihood bound: lower by {nats['value']:.4f} nats "
        f"[{nats['lower']:.4f}, {nats['upper']:.4f}], "
        f"{bits['value']:.2e} bits/dim [{bits['lower']:.2e}, {bits['upper']:.2e}], "
        f"log-SNR {report['log_snr_from']:.1f} to {report['log_snr_to']:.1f}",
        f"applied at {applied} of {len(report['times'])} times; the others are left alone, as no gain "
        "is certain there",
        f"denoising loss: lower at {better} of {len(report['times'])} times and higher at {worse} "
        f"(per-time interval clear of zero); at best by {share:.1%} (t = {best['t']:g})",
    ]


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


def _plain(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "lower": estimate.lower, "upper": estimate.upper}
