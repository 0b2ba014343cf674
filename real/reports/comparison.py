"""The report of ``python -m real compare``: which of two networks is better, and where."""

from functools import partial
from typing import Any

from real.calibrated.comparison import same_weights
from real.families.checkpoint import Checkpoint
from real.reports.comparison_figure import draw_comparison
from real.reports.page import Report
from real.reports.quality import distance_lines
from theory.calibration import Comparison
from theory.diffusion.likelihood_bound import bits_per_dim
from theory.statistics.intervals import LEVEL, cautions

NAMES = ("A", "B")
PANEL = 4.5
"""Width of a panel of the figure, in inches."""


def comparison_report(
    networks: tuple[Checkpoint, Checkpoint],
    comparison: Comparison,
    samples: dict[str, Any] | None,
    **settings: Any,
) -> Report:
    """Numbers, figure and verdict of a comparison; it has no page.

    Args:
        networks: A and B.
        comparison: of their losses.
        samples: the distances of their samples and of other ``real_images``; None if none were drawn.
        settings: of the command, to be told.
    """
    bound, target = comparison.bound_rise(), networks[0].target.name
    numbers = {
        "verdict": _verdict(networks, comparison),
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
    return Report(
        "compare", numbers, _summary(numbers), partial(draw_comparison, report=numbers),
        (PANEL * (3 if samples else 2), 3.4), ("compare.png", "compare.pdf"),
    )  # fmt: skip


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
    return [
        report["verdict"],
        *(f"warning: {name}: {text}" for name in NAMES if (text := report[name]["warning"])),
        *cautions("independent images", report["units"]),
        f"A: {a['checkpoint']} ({a['family']}); B: {b['checkpoint']} ({b['family']})",
        f"{report['images']} images ({report['units']} independent), {len(log_snr)} times, log-SNR "
        f"{min(log_snr):.1f} to {max(log_snr):.1f}; the bound in bits/dim: "
        f"{report['bound_rise_bits_per_dim']['value']:+.2e}",
        *(distance_lines(samples, NAMES) if samples else []),
    ]
