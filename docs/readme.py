"""Fill README.md from what commands wrote.

``python docs/readme.py build/demo build/study build/repair-study``, and docs/thorough.json
"""

import json
import math
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, StrictUndefined

DOCS = Path(__file__).parent
FIGURES = DOCS / "figures.json"
SHOWN_TIMES = (400, 800, 999)
REPAIR_NFE = 20
REPAIRS = ("none", "plain average", "order 0", "order 1", "order 1, shrunk")


def figures(demo: Path, study: Path, repair: Path) -> dict[str, Any]:
    """Every figure that the README names, from the files of the demo and of the studies."""
    proofs = _read(demo / "theory.json")["statements"]
    verified = _read(demo / "verify.json")
    report = _read(demo / "report" / "report.json")
    training = _read(DOCS.parent / "real" / "assets" / "digits" / "training.json")
    rows = report["times"]
    kinds = [claim["kind"] for claim in verified["claims"]]
    ratios = {row["t"]: row["plain_error_energy"] / row["error_energy"] for row in rows}
    shown = [min(ratios, key=lambda t, wanted=wanted: abs(t - wanted)) for wanted in SHOWN_TIMES]
    best = max(rows, key=lambda row: row["heldout_gain"] / row["denoising_loss"])
    return {
        "demo": demo.as_posix(),
        "statements": len(proofs),
        "claims": len(kinds),
        "exact": kinds.count("exact"),
        "statistical": kinds.count("statistical"),
        "false_alarm": f"{verified['false_alarm_probability']:.0e}",
        "mutants": len(verified["mutants"]),
        "caught": sum(mutant["caught"] for mutant in verified["mutants"]),
        "weights": f"{training['weights']:,}",
        "training_images": f"{training['split']['training']:,}",
        "times": len(rows),
        "images_calibration": report["images_calibration"],
        "images_held_out": report["images_held_out"],
        "draws": report["settings"]["draws"],
        "seed": report["settings"]["seed"],
        "machine": f"{platform.machine()} CPU, torch {torch.__version__}",
        "ratio_mean": f"{math.exp(sum(map(math.log, ratios.values())) / len(ratios)):.0f}",
        "ratios": ", ".join(f"{ratios[t]:,.0f} at t = {t}" for t in shown),
        "shift_nats": {k: f"{v:.3f}" for k, v in report["shift_bound_gain_nats"].items()},
        "sloped": sum(row["slopes"] != "none" for row in rows),
        "certified": f"{report['total_certificate']:.3f}",
        "shipped": _shipped(),
        "nats": {k: f"{v:.3f}" for k, v in report["bound_gain_nats"].items()},
        "bits": {k: f"{v:.1e}" for k, v in report["bound_gain_bits_per_dim"].items()},
        "better": sum(row["heldout_gain_lower"] > 0 for row in rows),
        "worse": sum(row["heldout_gain_upper"] < 0 for row in rows),
        "best_share": f"{best['heldout_gain'] / best['denoising_loss']:.0%}",
        "best_t": best["t"],
        "applied": sum(row["weight"] > 0 for row in rows),
        "thorough": _read(DOCS / "thorough.json"),
        "study": _study(_read(study / "study.json")),
        "repair": _repair(_read(repair / "repair-study.json")),
    }


def _study(study: dict[str, Any]) -> dict[str, Any]:
    sizes = sorted({row["images"] for row in study["errors"]})

    def log_errors(name: str) -> float:
        rows = [r for r in study["errors"] if r["estimator"] == name and r["images"] == sizes[-1]]
        return sum(math.log(row["error"]) for row in rows) / len(rows)

    gains = {
        name: [row for row in study["gains"] if row["recipe"] == name]
        for name in ("published", "certified", "certified, generated")
    }
    losses = {name: sum(row["gain_upper"] < 0 for row in rows) for name, rows in gains.items()}
    published = sorted(-row["gain"] for row in gains["published"])
    return {
        "least": sizes[0],
        "most": sizes[-1],
        "seeds": len({row["seed"] for row in study["errors"]}),
        "times": len(study["times"]),
        "ratio": f"{math.exp(log_errors('plain') - log_errors('regression')):.0f}",
        "published_least": f"{published[0]:.1f}",
        "published_most": f"{published[-1]:.0f}",
        "certified_losses": losses["certified"],
        "certified_runs": len(gains["certified"]),
        "generated_losses": losses["certified, generated"],
    }


def _repair(study: dict[str, Any]) -> dict[str, Any]:
    """Mean Frechet distance over the seeds at 20 evaluations, by network and correction."""
    rows = [row for row in study["samples"] if row["nfe"] == REPAIR_NFE]
    networks = list(dict.fromkeys(row["network"] for row in rows))

    def distance(network: str, correction: str) -> str:
        found = [
            row["frechet"]
            for row in rows
            if row["network"] == network and row["correction"] == correction
        ]
        return f"{sum(found) / len(found):.2f}"

    return {
        "nfe": REPAIR_NFE,
        "seeds": len({row["seed"] for row in rows}),
        "corrections": list(REPAIRS),
        "rows": [
            {"network": network, "distances": [distance(network, name) for name in REPAIRS]}
            for network in networks
        ],
        "ratio": f"{100 * (study['cost']['ratio'] - 1):+.1f}",
    }


def _shipped() -> str:
    """The networks that ship, and their sizes."""
    sizes = {
        folder.name: _read(folder / "training.json")["weights"]
        for folder in sorted((DOCS.parent / "real" / "assets").iterdir())
        if (folder / "training.json").is_file()
    }
    return ", ".join(f"`{name}` ({weights:,} weights)" for name, weights in sizes.items())


def readme(values: dict[str, Any]) -> str:
    """The README with these figures."""
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters |= {"thousands": "{:,}".format, "scientific": "{:.0e}".format}
    return environment.from_string((DOCS / "README.md.j2").read_text()).render(values)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


if __name__ == "__main__":
    demo_folder, study_folder, repair_folder = map(Path, sys.argv[1:])
    values = figures(demo_folder, study_folder, repair_folder)
    FIGURES.write_text(json.dumps(values, indent=2) + "\n")
    (DOCS.parent / "README.md").write_text(readme(values))
    shutil.copy(demo_folder / "report" / "calibration.png", DOCS / "calibration.png")
    shutil.copy(study_folder / "study.png", DOCS / "study.png")
