"""The report of a repair, written into the folder in which network and calibration are kept."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from real.calibrated.repair import AGAINST_FULL, FULL, NONE, ORDER_0, ORDER_1, Repair
from real.compress import repaired_folder as storage
from real.reports.page import Report, interval
from theory.statistics.intervals import LEVEL, cautions
from theory.support.output import replacing_folder
from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE, PINK

LINES = {
    FULL: (GREY, "--"), NONE: (ORANGE, "-"), ORDER_0: (GREEN, "-"), ORDER_1: (BLUE, "-"),
    AGAINST_FULL: (PINK, "-"),
}  # fmt: skip

ORDERS = (ORDER_0, ORDER_1)


def write_repair(out: Path, repair: Repair) -> Report:
    """Write network, calibration and report into a folder; they appear all or not at all."""
    with replacing_folder(out) as folder:
        storage.save_repaired(folder, repair.original, repair.damage, repair.network)
        repair.kept.save(folder / storage.CALIBRATION)
        stored = folder / storage.NETWORK
        report = repair_report(repair, stored.stat().st_size if stored.exists() else None)
        report.write_into(folder)
    return report


def repair_report(repair: Repair, size: int | None) -> Report:
    """How far a damaged network of so many stored bytes is from full precision."""
    c = repair.calibration
    log_snr = c.schedule.log_snr(c.times).tolist()
    losses = {name: repair.loss(name) for name in repair.losses}
    modules = repair.original.modules.values()
    against_full = repair.kept is repair.against_full
    numbers = {
        "original": repair.original.reference,
        "damage": str(repair.damage),
        "fingerprint": repair.network.fingerprint,
        "kept": AGAINST_FULL if against_full else ORDERS[c.provenance["order"]],
        "parameters": sum(p.numel() for module in modules for p in module.parameters()),
        "bytes": size,
        "confidence": LEVEL,
        "images_held_out": len(repair.losses[NONE]),
        "evaluations": c.provenance["evaluations"],
        "evaluations_against_full": 2 * repair.against_full.provenance["evaluations"],
        "above_full": {name: vars(repair.above_full(name)) for name in losses if name != FULL},
        "times": [
            {"t": t, "log_snr": log_snr[k]} | {name: vars(loss[k]) for name, loss in losses.items()}
            for k, t in enumerate(c.times.tolist())
        ],
    }
    return Report(
        "repair", numbers, _summary(numbers), lambda figure: draw_losses(figure.subplots(), numbers),
        (6.0, 3.6), ("repair.png",), numbers,
    )  # fmt: skip


def _summary(found: dict[str, Any]) -> list[str]:
    size = "" if found["bytes"] is None else f"; {found['bytes']:,} bytes"
    return [
        *cautions("held-out images", found["images_held_out"]),
        f"{found['original']}, {found['damage']}: {found['parameters']:,} parameters{size}",
        *(
            f"{name}: bound {above['value']:+.3g} nats from full precision's "
            f"{interval(above, '+.3g')}{', kept' if name == found['kept'] else ''}"
            for name, above in found["above_full"].items()
        ),
    ]


def draw_losses(ax: Axes, found: dict[str, Any]) -> None:
    """Held-out denoising loss over log-SNR."""
    log_snr = [row["log_snr"] for row in found["times"]]
    for name, (colour, dash) in LINES.items():
        if name in found["times"][0]:
            loss = [row[name]["value"] for row in found["times"]]
            ax.semilogy(log_snr, loss, dash, color=colour, lw=1.2, label=name)
    ax.set(xlabel="log-SNR", ylabel="squared error of the prediction")
    ax.set_title(f"Held-out denoising loss, {found['damage']}")
    ax.legend()
