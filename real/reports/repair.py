"""A repair as numbers, a figure and a page, and the folder that it is kept in."""

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from real.calibrated.repair import AGAINST_FULL, FULL, NONE, ORDER_0, ORDER_1, Repair
from real.compress import repaired_folder as storage
from real.reports.templates import render
from theory.calibration import files as calibrations
from theory.statistics.intervals import LEVEL, cautions
from theory.support.output import replacing_folder, write_json
from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE, PINK, STYLE

LINES = {
    FULL: (GREY, "--"), NONE: (ORANGE, "-"), ORDER_0: (GREEN, "-"), ORDER_1: (BLUE, "-"),
    AGAINST_FULL: (PINK, "-"),
}  # fmt: skip

ORDERS = (ORDER_0, ORDER_1)


def write(out: Path, repair: Repair) -> dict[str, Any]:
    """Write network, calibration, numbers, figure and page, and return the numbers.

    The folder appears whole or not at all.
    """
    with replacing_folder(out) as folder:
        storage.save_repaired(folder, repair.original, repair.damage, repair.network)
        calibrations.save(repair.kept, folder / storage.CALIBRATION)
        stored = folder / storage.NETWORK
        found = numbers(repair, stored.stat().st_size if stored.exists() else None)
        write_json(folder / "repair.json", found)
        _save(folder / "repair.png", found)
        (folder / "repair.html").write_text(render("repair.html.j2", **found))
    return found


def numbers(repair: Repair, size: int | None) -> dict[str, Any]:
    """Everything that ``repair.json`` holds."""
    c = repair.calibration
    log_snr = c.schedule.log_snr(c.times).tolist()
    losses = {name: repair.loss(name) for name in repair.losses}
    modules = repair.original.modules.values()
    parameters = sum(p.numel() for module in modules for p in module.parameters())
    return {
        "original": repair.original.reference,
        "damage": str(repair.damage),
        "fingerprint": repair.network.fingerprint,
        "kept": AGAINST_FULL
        if repair.kept is repair.against_full
        else ORDERS[c.provenance["order"]],
        "parameters": parameters,
        "bytes": size,
        "confidence": LEVEL,
        "images_held_out": repair.images,
        "evaluations": c.provenance["evaluations"],
        "evaluations_against_full": 2 * repair.against_full.provenance["evaluations"],
        "above_full": {name: vars(repair.above_full(name)) for name in losses if name != FULL},
        "times": [
            {"t": t, "log_snr": log_snr[k]} | {name: vars(loss[k]) for name, loss in losses.items()}
            for k, t in enumerate(c.times.tolist())
        ],
    }


def summary(found: dict[str, Any]) -> list[str]:
    """The main figures in words."""
    size = "" if found["bytes"] is None else f"; {found['bytes']:,} bytes"
    lines = cautions("held-out images", found["images_held_out"])
    lines += [f"{found['original']}, {found['damage']}: {found['parameters']:,} parameters{size}"]
    for name, above in found["above_full"].items():
        lines.append(
            f"{name}: bound {above['value']:+.3g} nats from full precision's "
            f"[{above['lower']:+.3g}, {above['upper']:+.3g}]"
            + (", kept" if name == found["kept"] else "")
        )
    return lines


def draw(ax: Axes, found: dict[str, Any]) -> None:
    """Held-out denoising loss over log-SNR."""
    log_snr = [row["log_snr"] for row in found["times"]]
    for name, (colour, dash) in LINES.items():
        if name in found["times"][0]:
            loss = [row[name]["value"] for row in found["times"]]
            ax.semilogy(log_snr, loss, dash, color=colour, lw=1.2, label=name)
    ax.set(xlabel="log-SNR", ylabel="squared error of the prediction")
    ax.set_title(f"Held-out denoising loss, {found['damage']}")
    ax.legend()


def _save(path: Path, found: dict[str, Any]) -> None:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.0, 3.6))
        draw(figure.subplots(), found)
        figure.savefig(path, format="png")
