"""The report of ``python -m real compare``: which of two networks is better, and where."""

from functools import partial
from typing import Any

from real.calibrated.comparison import same_weights
from real.calibrated.counted import counted
from real.families.checkpoint import Checkpoint
from real.reports.comparison_figure import draw_losses, draw_rise, draw_samples
from real.reports.elements import BAD, GOOD, PLAIN, Cell, Panel, Section, Table
from real.reports.origin import Origin
from real.reports.page import Report
from real.reports.quality import distance_lines
from theory.calibration import Comparison
from theory.calibration.verdict import Verdict
from theory.diffusion.likelihood_bound import bits_per_dim
from theory.statistics.intervals import LEVEL, cautions

NAMES = ("A", "B")


def comparison_report(
    networks: tuple[Checkpoint, Checkpoint],
    comparison: Comparison,
    samples: dict[str, Any] | None,
    *,
    origin: Origin,
    **settings: Any,
) -> Report:
    """Numbers, figure, verdict and page of a comparison.

    Args:
        networks: A and B.
        comparison: of their losses.
        samples: the distances of their samples and of other ``real_images``; None if none were drawn.
        origin: the command that made it.
        settings: of the command, to be told.
    """
    bound, target = comparison.bound_rise(), networks[0].target.name
    numbers = {
        **_described(networks, comparison),
        "same_weights": same_weights(*networks),
        "target": target,
        "settings": settings,
        "images": len(comparison.rises),
        "units": comparison.independent,
        "dimensions": comparison.dimension,
        "confidence": LEVEL,
        "confidence_of_each_time": comparison.level_of_each,
        "bound_rise_nats": vars(bound),
        "bound_rise_bits_per_dim": vars(bits_per_dim(bound, comparison.dimension)),
        "times": _rows(comparison),
        "samples": samples,
    }
    panels = [
        Panel(partial(draw_losses, report=numbers), "Denoising loss of both networks over log-SNR"),
        Panel(
            partial(draw_rise, report=numbers),
            "Rise of the loss from A to B in percent, over log-SNR",
        ),
    ]
    if samples:
        panels.append(
            Panel(
                partial(draw_samples, samples=samples),
                "Frechet distances of the samples of A and B",
            )
        )
    fingerprints = ", ".join(network.fingerprint for network in networks)
    sections = (
        Section("Where they differ", panels=tuple(panels)),
        Section("Every time", tables=(_table(_rows(comparison)),)),
        origin.section(fingerprints, settings),
    )
    return Report(
        "compare", f"{networks[0].reference} (A) and {networks[1].reference} (B)",
        Verdict(_verdict(networks, comparison)), _summary(numbers), numbers, sections,
        ("compare.png", "compare.pdf"),
    )  # fmt: skip


def _table(times: list[dict[str, Any]]) -> Table:
    rows: list[list[str | Cell]] = [
        [
            f"{row['t']:g}", f"{row['log_snr']:.2f}", f"{row['loss_A']:.4g}", f"{row['loss_B']:.4g}",
            _rise(row),
        ]
        for row in times
    ]  # fmt: skip
    return Table(
        ("t", "log-SNR", "loss of A", "loss of B", "rise from A to B"),
        rows,
        "All numbers of each time: squared errors of the prediction, summed over an image",
        folded=True,
    )


def _rise(row: dict[str, Any]) -> Cell:
    """The rise of a time with its interval, both in a tone; a plain 0 where no image tells them apart."""
    if row["rise"] == row["rise_lower"] == row["rise_upper"] == 0:
        return Cell("0")
    return Cell(
        f"{row['rise']:+.2e}",
        BAD if row["rise_lower"] > 0 else GOOD if row["rise_upper"] < 0 else PLAIN,
        f"{row['rise_lower']:+.1e} to {row['rise_upper']:+.1e}",
    )


def _verdict(networks: tuple[Checkpoint, Checkpoint], comparison: Comparison) -> str:
    said = comparison.verdict(*NAMES)
    if not same_weights(*networks):
        return said
    return f"A and B have the same weights (fingerprint {networks[0].fingerprint}); {said}"


def _described(
    networks: tuple[Checkpoint, Checkpoint], comparison: Comparison
) -> dict[str, dict[str, Any]]:
    described = zip(NAMES, networks, comparison.warnings(), strict=True)
    return {
        name: {
            "checkpoint": network.reference,
            "family": network.family,
            "fingerprint": network.fingerprint,
            "warning": warning,
        }
        for name, network, warning in described
    }


def _rows(comparison: Comparison) -> list[dict[str, Any]]:
    grid = comparison.grid
    columns = zip(
        grid.times.tolist(), grid.log_snr.tolist(), comparison.first.losses.mean(0).tolist(),
        comparison.second.losses.mean(0).tolist(), comparison.loss_rise(), strict=True,
    )  # fmt: skip
    return [
        {
            "t": t, "log_snr": log_snr, "loss_A": loss_a, "loss_B": loss_b, "rise": rise.value,
            "rise_lower": rise.lower, "rise_upper": rise.upper,
        }
        for t, log_snr, loss_a, loss_b, rise in columns
    ]  # fmt: skip


def _summary(report: dict[str, Any]) -> list[str]:
    log_snr = [row["log_snr"] for row in report["times"]]
    samples, (a, b) = report["samples"], (report[name] for name in NAMES)
    bits = report["bound_rise_bits_per_dim"]["value"]
    return [
        *(f"warning: {name}: {text}" for name in NAMES if (text := report[name]["warning"])),
        *cautions("independent images", report["units"]),
        f"A: {a['checkpoint']} ({a['family']}); B: {b['checkpoint']} ({b['family']})",
        f"{counted(report['images'], 'image')} ({report['units']} independent), "
        f"{counted(len(log_snr), 'time')}, log-SNR {min(log_snr):.1f} to {max(log_snr):.1f}; the bound of B "
        f"less that of A, in bits/dim: {f'{bits:+.2e}' if bits else '0'}",
        *(distance_lines(samples, NAMES) if samples else []),
    ]
