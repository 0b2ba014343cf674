"""Fill README.md from what the demo wrote: ``python docs/readme.py build/demo build/study``."""

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


def figures(demo: Path, study: Path) -> dict[str, Any]:
    """Every figure that the README names, from the files of the demo and of the study."""
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
        "nats": {k: f"{v:.3f}" for k, v in report["bound_gain_nats"].items()},
        "bits": {k: f"{v:.1e}" for k, v in report["bound_gain_bits_per_dim"].items()},
        "better": sum(row["heldout_gain_lower"] > 0 for row in rows),
        "worse": sum(row["heldout_gain_upper"] < 0 for row in rows),
        "best_share": f"{best['heldout_gain'] / best['denoising_loss']:.0%}",
        "best_t": best["t"],
        "applied": sum(row["weight"] > 0 for row in rows),
        "study": _study(_read(study / "study.json")),
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


def readme(values: dict[str, Any]) -> str:
    """The README with these figures."""
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.from_string((DOCS / "README.md.j2").read_text()).render(values)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


if __name__ == "__main__":
    demo_folder, study_folder = map(Path, sys.argv[1:])
    values = figures(demo_folder, study_folder)
    FIGURES.write_text(json.dumps(values, indent=2) + "\n")
    (DOCS.parent / "README.md").write_text(readme(values))
    shutil.copy(demo_folder / "report" / "calibration.png", DOCS / "calibration.png")
    shutil.copy(study_folder / "study.png", DOCS / "study.png")
