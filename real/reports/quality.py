"""The report of ``python -m real quality``: distances without and with calibration, over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from real.calibrated.counted import listed
from real.quality.measure import MEASURES, QualityPlan, Reference, over_seeds
from real.reports.elements import BAD, GOOD, PLAIN, Cell, Panel, Section, Table
from real.reports.origin import Origin
from real.reports.page import Report, interval
from real.reports.quality_figure import draw_change, draw_measure
from theory.calibration.verdict import DO_NOT, USE, Verdict
from theory.statistics.intervals import FEW_IMAGES, LEVEL, cautions
from theory.support.errors import InputError, refusing
from theory.support.safe_reading import TABLE_BYTES, parse_json, read_bytes

PAIR = ("before", "after")
AFTER = {
    "calibration": "the calibration",
    "unconditional": "that of the branch without condition",
    "fitted": "the fitted solver",
}
"""What the options of the command add."""
NAMES = {"kid": "kernel distance", "tint": "error of the mean colour"}


def quality_report(
    plan: QualityPlan,
    reference: Reference,
    rows: list[dict[str, Any]],
    *,
    origin: Origin,
    **more: Any,
) -> Report:
    """What ``measure_quality`` found of a plan, in rows.

    Args:
        plan: what was sampled.
        reference: what samples were compared with.
        rows: a distance each.
        origin: the command that made it.
        more: ``settings`` of the command, the distances of other ``real_images``, and the ``digest`` of
            the calibration's file.
    """
    numbers = {
        "checkpoint": plan.checkpoint.reference,
        "fingerprint": plan.checkpoint.fingerprint,
        **more,
        **distances(plan, reference, rows),
    }
    return Report(
        "quality", f"Samples of {plan.checkpoint.reference} beside real images",
        quality_verdict(numbers), distance_lines(numbers, PAIR, _pair(numbers)), numbers,
        (
            replace(distance_section(numbers), text=()),
            origin.section(numbers["fingerprint"], more["settings"]),
        ),
        ("quality.png", "quality.pdf"), columns=2,
    )  # fmt: skip


def read_quality(folder: Path, fingerprint: str, digest: str | None) -> dict[str, Any]:
    """What ``quality`` wrote into a folder, of this network and this calibration's file.

    Raises:
        InputError: there is none, it cannot be read, or it is of another network or calibration.
    """
    file = folder / "quality.json"
    expected = f"quality: expected a folder that `quality` wrote, {folder}"
    if not file.is_file():
        raise InputError(f"{expected} has no quality.json")
    with refusing(f"{expected} has another quality.json"):
        found: dict[str, Any] = parse_json(read_bytes(file, "quality", TABLE_BYTES).decode())
        made_of = found["fingerprint"], found["digest"]
        distance_section(found)
    if made_of != (fingerprint, digest):
        raise InputError(f"{expected} is of another network or calibration")
    return found


def quality_verdict(report: Mapping[str, Any]) -> Verdict:
    """Whether samples came nearer to real images, by all that is certain of any measure."""
    (better, worse), tried = (
        certain(report, "frechet"),
        [row["nfe"] for row in report["over_seeds"]],
    )
    rises = any(certain(report, name)[1] for name in NAMES)
    over = f"(paired noise, {len(report['seeds'])} seeds, {report['confidence']:.0%})"
    by = f"{over}, by the {report['distance']}"
    tried_too = "" if len(tried) == 1 else f" (tried: {_listed(tried)})"
    others = "".join(f"; {words}" for name in NAMES for words in _changes(report, name))
    if better and worse:
        return Verdict(
            f"Samples are certainly better at {_listed(better)} and certainly worse at {_at(worse)} "
            f"{by}{others}: use it at the former alone."
        )
    if better:
        found = f"Samples are certainly better at {_at(better)} {by}{tried_too}{others}"
        if rises:
            return Verdict(f"{found}; weigh these before you use it there.")
        return Verdict(f"{found}; use it there.", USE)
    if worse:
        return Verdict(
            f"Samples are certainly worse at {_at(worse)} {by}{tried_too}{others}; do not use it there.",
            DO_NOT,
        )
    if others:
        return Verdict(
            f"No difference of samples is certain at {_at(tried)} {by}, but by other measures"
            f"{others.replace('; ', ': ', 1)}."
        )
    return Verdict(
        f"No difference of samples is certain at {_at(tried)} {by}; more seeds may show one."
    )


def certain(report: Mapping[str, Any], name: str) -> tuple[list[int], list[int]]:
    """The numbers of evaluations at which a measure certainly falls, and at which it rises."""
    falls: list[int] = []
    rises: list[int] = []
    for row in report["over_seeds"]:
        change = row[name]["change"]
        for found, clear in ((falls, change["upper"] < 0), (rises, change["lower"] > 0)):
            if clear:
                found.append(row["nfe"])
    return falls, rises


def _changes(report: Mapping[str, Any], name: str) -> list[str]:
    """Where a measure certainly falls, and where it rises, in words."""
    ways = zip(("falls", "rises"), certain(report, name), strict=True)
    return [f"the {NAMES[name]} certainly {way} at {_at(where)}" for way, where in ways if where]


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _at(numbers: Sequence[int]) -> str:
    return listed(numbers, "evaluation")


def distance_section(report: Mapping[str, Any]) -> Section:
    """Distances over evaluations: panels and a table."""
    panels = (
        Panel(partial(draw_measure, report=report, name="frechet", label=report["distance"]),
              f"{report['distance']} over network evaluations, without and with calibration"),
        Panel(partial(draw_change, report=report, name="frechet"),
              f"Change of the {report['distance']} by calibration over network evaluations"),
        Panel(partial(draw_measure, report=report, name="kid", label="Kernel distance, same features"),
              "Kernel distance over network evaluations, without and with calibration"),
        Panel(partial(draw_measure, report=report, name="tint", label="Error of the mean colour"),
              "Error of the mean colour over network evaluations, without and with calibration"),
    )  # fmt: skip
    return Section(
        "Samples beside real images",
        (_compared(report), _pair(report)),
        panels,
        tables=(_table(report),),
    )


def _pair(report: Mapping[str, Any]) -> str:
    """What stands on either side of the comparison."""
    made = report.get("settings", {})
    given = [words for name, words in AFTER.items() if made.get(name)]
    return f"before: the network as it is; after: with {' and '.join(given) or 'the calibration'}"


def _table(report: Mapping[str, Any]) -> Table:
    rows = []
    for row in report["over_seeds"]:
        for name in MEASURES:
            before, after, change = (row[name][part] for part in (*PAIR, "change"))
            tone = GOOD if change["upper"] < 0 else BAD if change["lower"] > 0 else PLAIN
            rows.append([
                str(row["nfe"]), NAMES.get(name, report["distance"]), f"{before['value']:.4g}",
                f"{after['value']:.4g}",
                Cell(f"{change['value']:+.2g}", tone, interval(change, "+.2g")),
            ])  # fmt: skip
    return Table(
        ("evaluations", "measure", *PAIR, "change"),
        rows,
        "Distances to real images, means over seeds",
    )


def distances(
    plan: QualityPlan, reference: Reference, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    """What was sampled, what it was compared with, and the rows with their means over seeds."""
    first, second = plan.samplers
    return {
        "solver": plan.samplers[first].name,
        "solver_after": plan.samplers[second].name,
        "distance": reference.features.distance,
        "features": reference.features.description,
        "feature_width": reference.rows.shape[1],
        "images": len(reference.rows),
        "samples": plan.samples,
        "seeds": list(plan.seeds),
        "confidence": LEVEL,
        "over_seeds": over_seeds(rows, (first, second)),
        "rows": rows,
    }


def _solvers(report: Mapping[str, Any]) -> str:
    before, after = report["solver"], report["solver_after"]
    return str(before) if before == after else f"{before} before, {after} after"


def _compared(report: Mapping[str, Any]) -> str:
    """What was compared with what."""
    return (
        f"{report['distance']} of {report['samples']} samples to {report['images']} images; "
        f"features: {report['features']}; {len(report['seeds'])} seeds, {_solvers(report)}; "
        f"other real images are at {report['real_images']['frechet']:.4g}"
    )


def distance_lines(report: dict[str, Any], pair: tuple[str, str], *explained: str) -> list[str]:
    """The distances of the pair's samples and their changes in words, with cautions.

    Args:
        report: the distances.
        pair: how the two are called.
        explained: what these names mean.
    """
    least = max(FEW_IMAGES, report["feature_width"] + 1)  # else the covariance is singular
    lines = [
        *cautions("images", report["images"], least),
        *cautions("samples", report["samples"], least),
        _compared(report),
        *explained,
    ]
    for row in report["over_seeds"]:
        for name in MEASURES:
            before, after, change = (row[name][part] for part in (*pair, "change"))
            lines.append(
                f"{_at([row['nfe']])}, {NAMES.get(name, report['distance'])}: "
                f"{before['value']:.4g} {pair[0]}, {after['value']:.4g} {pair[1]}, change "
                f"{change['value']:+.2g} {interval(change, '+.2g')}"
            )
    return lines
