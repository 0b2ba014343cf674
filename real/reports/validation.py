"""The report of ``python -m real validate``: what held-out images say of a calibration."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from real.calibrated.counted import counted
from real.families.checkpoint import Checkpoint
from real.reports.bias import bias_section
from real.reports.elements import BAD, GOOD, PLAIN, Cell, Panel, Picture, Section, Table
from real.reports.origin import Origin, assumptions, use_section
from real.reports.page import Report, interval, supported
from real.reports.quality import distance_section
from real.reports.validation_figure import draw_error, draw_eta, draw_gain, draw_line_check
from real.solvers.sampling import Samples, odd_evaluations
from theory.calibration import Calibration, Validation
from theory.calibration.result import EXACT
from theory.diffusion.likelihood_bound import bits_per_dim
from theory.estimators.parts import Part
from theory.estimators.slopes import NONE
from theory.statistics.intervals import LEVEL, Estimate, cautions

LEFT_ALONE = "left alone"


def validation_report(
    checkpoint: Checkpoint,
    validation: Validation,
    drawn: tuple[Samples, Samples],
    held_out: Tensor,
    *,
    allowed: int,
    origin: Origin,
    distances: Sequence[Mapping[str, Any]] = (),
    **settings: Any,
) -> Report:
    """Numbers, figure, samples and page of a validation.

    Args:
        checkpoint: the network.
        validation: of its calibration.
        drawn: samples from the same noise, without and with calibration.
        held_out: images (n, c, h, w) in [-1, 1] to show.
        allowed: evaluations per sample that were allowed.
        origin: the command that made it, and the file of the calibration.
        distances: of samples to real images, reports of ``real.reports.quality``.
        settings: of the command, to be told.
    """
    before, after = drawn
    numbers = _numbers(checkpoint, validation)
    numbers |= {
        "settings": settings,
        "sampling": _sampling(before, after),
        "command": origin.command,
    }
    if distances:
        numbers["distances"] = list(distances)
    sections = (
        bias_section(validation.calibration),
        _errors(numbers),
        _samples(numbers, before.images, after.images, held_out),
        *map(distance_section, distances),
        assumptions(validation.calibration.certainty),
        use_section(checkpoint, origin.calibration),
        Section("Every time", (_units(numbers),), tables=(_table(numbers),)),
        origin.section(numbers["fingerprint"], settings),
    )
    fewer = odd_evaluations(before.solver, before.nfe, allowed)
    return Report(
        "report", f"Calibration of {checkpoint.reference}, on images it has not seen",
        validation.verdict(), [*_summary(numbers), *fewer], numbers, sections,
        ("calibration.png", "calibration.pdf"),
    )  # fmt: skip


def _errors(report: dict[str, Any]) -> Section:
    """Panels over log-SNR."""
    panels = (
        Panel(
            partial(draw_gain, report=report),
            "Fall of the held-out denoising loss in percent, over log-SNR",
        ),
        Panel(
            partial(draw_eta, report=report),
            "Mean error of the network, and the noise of a plain average, over log-SNR",
        ),
        Panel(
            partial(draw_error, report=report),
            "Error energy of the shift and of the plain average, over log-SNR",
        ),
        Panel(
            partial(draw_line_check, report=report),
            "Error of the network over that of a line in x_t, over log-SNR",
        ),
    )
    return Section(
        "Where it errs, and what calibration takes off",
        (
            f"Bands are intervals at {LEVEL:.0%} over images, each time by itself: several noise draws "
            "on one image count as one. The bound is integrated over the calibrated times only, and a "
            "bound that falls does not promise a likelihood that rises, nor better samples.",
        ),
        panels,
    )


def _samples(report: dict[str, Any], before: Tensor, after: Tensor, held_out: Tensor) -> Section:
    """Samples side by side with real images."""
    sampling = report["sampling"]
    pictures = (
        Picture(before, "without calibration", "samples_before.png"),
        Picture(
            after,
            "with calibration (mean change of a pixel: "
            f"{sampling['mean_change']:.4f} of a range of 2)",
            "samples_after.png",
        ),
        Picture(held_out, "the first held-out images, as the network saw them", "samples_held_out.png"),
    )  # fmt: skip
    text = (
        f"{counted(sampling['samples'], 'sample')} by {sampling['solver']} at "
        f"{counted(sampling['nfe'], 'network evaluation')} each; {_seconds(sampling['seconds_before'])} "
        f"without and {_seconds(sampling['seconds_after'])} with calibration."
    )
    return Section("Samples from the same noise", (text,), pictures=pictures)


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2g} s"


def _units(report: dict[str, Any]) -> str:
    """What the numbers of each time are measured in."""
    return (
        f"|η|², gains, losses and errors are squared errors of the predicted {report['target']} at a time, "
        "summed over an image; by its weights the bound makes nats of them."
    )


def _table(report: dict[str, Any]) -> Table:
    """All that is known of each time, under headers that differ."""
    columns = (
        "t", "log-SNR", "|η|²", "interval of |η|²", "held-out gain", "interval of the gain",
        "denoising loss", "error of the shift", "error of the plain average", "weight of the shift",
        "certified gain of the shift", *(("slopes", "certified gain of slopes") if report["order"] else ()),
    )  # fmt: skip
    return Table(
        columns, [_row(row) for row in report["times"]], "All numbers of each time", folded=True
    )


def _row(row: dict[str, Any]) -> list[str | Cell]:
    tone = (
        GOOD if row["heldout_gain_lower"] > 0 else BAD if row["heldout_gain_upper"] < 0 else PLAIN
    )
    cells: list[str | Cell] = [
        f"{row['t']:g}", f"{row['log_snr']:.2f}", f"{row['eta_sq']:.2e}",
        f"{row['eta_sq_lower']:.1e} to {row['eta_sq_upper']:.1e}",
        Cell(f"{row['heldout_gain']:.2e}", tone),
        f"{row['heldout_gain_lower']:.1e} to {row['heldout_gain_upper']:.1e}",
        f"{row['denoising_loss']:.4g}", f"{row['error_energy']:.2e}", f"{row['plain_error_energy']:.2e}",
        f"{row['weight']:.2f}", f"{row['certificate']:.1e}" if row["weight"] > 0 else LEFT_ALONE,
    ]  # fmt: skip
    if row["slopes"] is None:
        return cells
    none = row["slopes"] == NONE
    return [*cells, row["slopes"], LEFT_ALONE if none else f"{row['slope_certificate']:.1e}"]


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
        **(
            {"units_held_out": validation.independent}
            if validation.independent < validation.n
            else {}
        ),
        "dimensions": dimensions,
        "confidence": LEVEL,
        "times": _rows(validation),
        "log_snr_from": log_snr.min().item(),
        "log_snr_to": log_snr.max().item(),
        "order": calibration.provenance.get("order", 0),
        "smoothing": calibration.smoothing,
        "bands": calibration.bands,
        "total_certificate": calibration.total_certificate,
        "certainty": calibration.certainty,
        "warning": validation.warning(),
        "clipping_bound_gain_nats": vars(validation.clipping_bound_gain()),
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


def _summary(report: dict[str, Any]) -> list[str]:
    nats, bits, times = (
        report[key] for key in ("bound_gain_nats", "bound_gain_bits_per_dim", "times")
    )
    better = sum(row["heldout_gain_lower"] > 0 for row in times)
    worse = sum(row["heldout_gain_upper"] < 0 for row in times)
    best = max(times, key=lambda row: row["heldout_gain"] / row["denoising_loss"])
    share = best["heldout_gain"] / best["denoising_loss"]
    left_out = report["images_left_out"]
    return [
        *cautions("held-out images", report["images_held_out"]),
        f"held-out images: {report['images_held_out']} (calibrated on "
        f"{report['images_calibration']}, none in common)"
        + (f", {units} independent units" if (units := report.get("units_held_out")) else "")
        + (f"; {left_out} more were left out, as it was made from them" if left_out else ""),
        f"likelihood bound: {_change(nats)} nats, {_change(bits)} bits/dim, "
        f"log-SNR {report['log_snr_from']:.1f} to {report['log_snr_to']:.1f}",
        *_parts(report),
        f"denoising loss: lower at {better} of {counted(len(times), 'time')} and higher at {worse} "
        f"(per-time interval clear of zero); at best by {share:.1%} (t = {best['t']:g})",
    ]


def _change(fall: dict[str, float]) -> str:
    """ "lower by" a fall, or "higher by" a rise, with its interval, in the digits that this supports."""
    style = supported(fall)
    if fall["value"] >= 0:
        return f"lower by {fall['value']:{style}} {interval(fall, style)}"
    rise = {"value": -fall["value"], "lower": -fall["upper"], "upper": -fall["lower"]}
    return f"higher by {rise['value']:{style}} {interval(rise, style)}"


def _parts(report: dict[str, Any]) -> list[str]:
    """Where the shift is applied, and the slopes if there are any."""
    rows = report["times"]
    shifted = sum(row["weight"] > 0 for row in rows)
    rest = "; the others are left alone, as no gain is certain there" if shifted < len(rows) else ""
    lines = [f"shift: applied at {shifted} of {counted(len(rows), 'time')}{rest}"]
    if report["order"]:
        sloped = sum(row["slopes"] not in (None, NONE) for row in rows)
        alone = report["shift_bound_gain_nats"]
        lines[0] += (
            f"; alone it {'lowers' if alone['value'] >= 0 else 'raises'} the bound by "
            f"{abs(alone['value']):{supported(alone)}} nats"
        )
        lines.append(f"slopes: applied at {sloped} of {counted(len(rows), 'time')}")
    if report["certainty"] == EXACT:
        clipping = _change(report["clipping_bound_gain_nats"])
        lines.append(
            f"x_0 is clipped with calibration and without; clipping alone: {clipping} nats"
        )
    bound = report["total_certificate"]
    if bound is not None and bound > 0:
        lines.append(
            f"certified before, from the calibration images: at least {bound:.4g} nats"
            + (f" ({EXACT})" if report["certainty"] == EXACT else "")
        )
    return lines


def _rows(validation: Validation) -> list[dict[str, Any]]:
    """Everything about each time; slopes are None in a calibration of order 0."""
    c = validation.calibration
    none = [None] * len(c.times)
    columns = {
        "t": c.times.tolist(),
        "log_snr": c.schedule.log_snr(c.times).tolist(),
        **_intervals("eta_sq", validation.eta_sq),
        "eta_sq_calibration": [vars(e) for e in c.eta_sq],
        "eta_sq_of_set": [vars(e) for e in c.eta_sq_of_set],
        **_intervals("heldout_gain", validation.gain()),
        "denoising_loss": [e.value for e in validation.loss()],
        "network_error": [check.network for check in validation.line_check],
        "line_error": [check.line for check in validation.line_check],
        "error_energy": c.error_energy.tolist(),
        "plain_error_energy": c.plain_error_energy.tolist(),
        "weight": c.weights.tolist(),
        "certificate": _certificates(c, c.constant),
        "shift_gain_expected": c.gains.tolist(),
        "shift_error_left_out": [
            max(0.0, e.value - gain) for e, gain in zip(c.eta_sq, c.gains.tolist(), strict=True)
        ],
        "slopes": _slopes(c) or none,
        "slope_certificate": _certificates(c, c.slopes) if c.slopes else none,
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _certificates(calibration: Calibration, part: Part) -> list[float]:
    """Lower bounds of the gain of a part; an exact certificate has only those of all parts together."""
    bounds = part.certificates if calibration.exact is None else calibration.exact.bounds
    return bounds.tolist()


def _slopes(calibration: Calibration) -> list[str]:
    """Their kind at each time, as far as they are applied; empty at order 0."""
    slopes = calibration.slopes
    if slopes is None:
        return []
    applied = calibration.applied(slopes).tolist()
    return [kind if here else NONE for kind, here in zip(slopes.kinds, applied, strict=True)]


def _intervals(name: str, estimates: Sequence[Estimate]) -> dict[str, list[float]]:
    """Three columns: the values, and the ends of their intervals."""
    return {
        name: [e.value for e in estimates],
        f"{name}_lower": [e.lower for e in estimates],
        f"{name}_upper": [e.upper for e in estimates],
    }
