"""The report of a repair, written into the folder in which network and calibration are kept."""

from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from real.calibrated.counted import counted
from real.calibrated.repair import AGAINST_FULL, FULL, NONE, ORDER_0, ORDER_1, Repair
from real.compress import repaired_folder as storage
from real.reports.elements import BAD, GOOD, PLAIN, Cell, Panel, Section, Table
from real.reports.origin import Origin
from real.reports.page import Report, interval
from theory.calibration.verdict import DO_NOT, USE, Verdict
from theory.statistics.intervals import LEVEL, cautions
from theory.support.output import replacing_folder
from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE, PINK

LINES = {
    FULL: (GREY, "--"), NONE: (ORANGE, "-"), ORDER_0: (GREEN, "-"), ORDER_1: (BLUE, "-"),
    AGAINST_FULL: (PINK, "-"),
}  # fmt: skip

ORDERS = (ORDER_0, ORDER_1)


def write_repair(out: Path, repair: Repair, origin: Origin) -> Report:
    """Write network, calibration and report into a folder; they appear all or not at all."""
    with replacing_folder(out) as folder:
        storage.save_repaired(folder, repair.original, repair.damage, repair.network)
        repair.kept.save(folder / storage.CALIBRATION)
        stored = folder / storage.NETWORK
        report = repair_report(repair, origin, stored.stat().st_size if stored.exists() else None)
        report.write_into(folder)
    return report


def repair_report(repair: Repair, origin: Origin, size: int | None) -> Report:
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
        "warning": c.warning(),
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
    sections = (
        Section(
            "Likelihood bound above full precision's",
            (
                "Negative is better than full precision. Intervals are at "
                f"{LEVEL:.0%} over images, paired. {numbers['evaluations']:,} network evaluations to "
                f"calibrate on the images themselves, {numbers['evaluations_against_full']:,} on full "
                f"precision's predictions; {counted(numbers['images_held_out'], 'held-out image')}.",
            ),
            (
                Panel(
                    partial(draw_losses, found=numbers),
                    "Denoising loss over log-SNR at full precision, damaged and repaired",
                ),
            ),
            tables=(_above(numbers["above_full"]),),
        ),
        Section("Every time", tables=(_losses(numbers["times"]),)),
        origin.section(repair.network.fingerprint, {"damage": numbers["damage"]}),
    )
    return Report(
        "repair", f"Repair of {numbers['original']}, {numbers['damage']}", _verdict(numbers),
        _summary(numbers), numbers, sections, ("repair.png",), columns=1,
    )  # fmt: skip


def _verdict(found: dict[str, Any]) -> Verdict:
    """How far what is kept is from full precision, beside the damage alone."""
    if found["warning"]:
        return Verdict(
            f"Do not use it yet: {found['warning']}.",
            DO_NOT,
        )
    damaged, kept = found["above_full"][NONE], found["above_full"][found["kept"]]
    least, most = min(kept["value"], damaged["value"]), max(kept["value"], damaged["value"])
    words = f"from {damaged['value']:+.3g} to {kept['value']:+.3g} nats from full precision's"
    if kept["upper"] < damaged["lower"]:
        return Verdict(f"Repair helps: it moves the likelihood bound {words}; use it.", USE)
    if kept["lower"] > damaged["upper"]:
        return Verdict(
            f"Repair harms: it moves the likelihood bound {words}; do not use it.", DO_NOT
        )
    return Verdict(
        f"It is not certain that repair helps: the likelihood bound moves {words}, and the intervals "
        f"overlap ({least:+.3g} and {most:+.3g} nats); measure it on more images."
    )


def _above(above_full: dict[str, dict[str, float]]) -> Table:
    rows: list[list[str | Cell]] = [
        [
            name,
            Cell(
                f"{above['value']:+.3f}",
                BAD if above["lower"] > 0 else GOOD if above["upper"] < 0 else PLAIN,
            ),
            f"{above['lower']:+.3f} to {above['upper']:+.3f}",
        ]
        for name, above in above_full.items()
    ]
    return Table(("correction", "nats", "interval"), rows, "Above full precision, held out")


def _losses(times: list[dict[str, Any]]) -> Table:
    names = [name for name in times[0] if name not in ("t", "log_snr")]
    rows: list[list[str | Cell]] = [
        [
            f"{row['t']:.4g}",
            f"{row['log_snr']:.2f}",
            *(f"{row[name]['value']:.4g}" for name in names),
        ]
        for row in times
    ]
    return Table(
        ("t", "log-SNR", *names), rows, "Held-out denoising loss at each time", folded=True
    )


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
