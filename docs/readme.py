"""Fill README.md and docs/RESULTS.md from what commands wrote.

``python docs/readme.py demo=build/demo study=build/study ...``: each folder or file fills its own
figures, and those of others stay as they are in docs/figures.json. docs/thorough.json,
docs/mutants.json and docs/gpu*.json are read in any case.
"""

import json
import math
import platform
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, StrictUndefined

from real.experiments.device_check import WHOLE
from theory.calibration import Calibration
from theory.sampling import FittedSolver

DOCS = Path(__file__).parent
FIGURES = DOCS / "figures.json"
FAULTS = DOCS.parent / "tests" / "faults"
PAGES = (DOCS.parent / "README.md", DOCS / "RESULTS.md")
SHOWN_TIMES = (400, 800, 999)
REPAIR_NFE = 20
SHOWN_SOLVERS = ("epsilon scaling", "fitted: trajectory", "fitted: marginals", "fitted")
REPAIRS = ("none", "plain average", "order 0", "order 1", "order 1, shrunk")


def of_demo(demo: Path) -> dict[str, Any]:
    """What `make demo` wrote."""
    proofs = _read(demo / "theory.json")["statements"]
    verified = _read(demo / "verify.json")
    report = _read(demo / "report" / "report.json")
    times = _read(demo / "times.json")
    training = _read(DOCS.parent / "real" / "assets" / "digits" / "training.json")
    rows = report["times"]
    kinds = [claim["kind"] for claim in verified["claims"]]
    ratios = {row["t"]: row["plain_error_energy"] / row["error_energy"] for row in rows}
    shown = [min(ratios, key=lambda t, wanted=wanted: abs(t - wanted)) for wanted in SHOWN_TIMES]
    best = max(rows, key=lambda row: row["heldout_gain"] / row["denoising_loss"])
    return {
        "demo": demo.as_posix(),
        "took": {name: f"{times[name] / 60:.1f}" for name in ("first", "whole")},
        "cores": times["cores"],
        "statements": sum(not proof["identity"] for proof in proofs),
        "claims": len(kinds),
        "exact": kinds.count("exact"),
        "statistical": kinds.count("statistical"),
        "false_alarm": f"{verified['false_alarm_probability']:.0e}",
        "asymptotic_false_alarm": f"{verified['asymptotic_false_alarm_probability']:.0e}",
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
    }


def of_recorded(folder: Path) -> dict[str, Any]:
    """What `train --record-mean` and two runs of `validate` wrote, of what was recorded and of order 0."""
    training = _read(folder / "training.json")
    reports = {name: _read(folder / name / "report.json") for name in ("recorded", "order-0")}
    fell = {name: report["bound_gain_nats"] for name, report in reports.items()}
    rows = reports["recorded"]["times"]
    return {
        "steps": f"{training['recipe']['steps']:,}",
        "images": f"{reports['recorded']['images_calibration']:,}",
        "held_out": reports["recorded"]["images_held_out"],
        "nats": {key: f"{value:.4f}" for key, value in fell["recorded"].items()},
        "order_0": {key: f"{value:.4f}" for key, value in fell["order-0"].items()},
        "order_0_images": reports["order-0"]["images_calibration"],
        "better": sum(row["heldout_gain_lower"] > 0 for row in rows),
        "worse": sum(row["heldout_gain_upper"] < 0 for row in rows),
        "times": len(rows),
    }


def of_study(folder: Path) -> dict[str, Any]:
    """What `python -m real study` wrote."""
    study = _read(folder / "study.json")
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


def of_repair(folder: Path) -> dict[str, Any]:
    """Mean Frechet distance over the seeds at 20 evaluations, by network and correction."""
    study = _read(folder / "repair-study.json")
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


def of_solvers(folder: Path) -> dict[str, Any]:
    """A row for each number of evaluations: the best of diffusers' solvers, and what was fitted."""
    study = _read(folder / "solver-study.json")
    by_nfe: dict[int, dict[str, dict[str, Any]]] = {}
    for row in study["over_seeds"]:
        by_nfe.setdefault(row["nfe"], {})[row["solver"]] = row
    rows = []
    for nfe, own in sorted(by_nfe.items()):
        known = {n: r for n, r in own.items() if not n.startswith(("fitted", "epsilon"))}
        best = min(known, key=lambda name: known[name]["frechet"]["value"])
        shown = [known[best], *(own.get(name) for name in SHOWN_SOLVERS)]
        rows.append({
            "nfe": nfe, "best": best, "spent": own.get("fitted", {}).get("spent"),
            "distances": [row and f"{row['frechet']['value']:.3g}" for row in shown],
        })  # fmt: skip
    return {
        "network": study["checkpoint"], "features": study["features"], "samples": study["samples"],
        "images": study["images"], "seeds": study["seeds"],
        "real_images": f"{study['real_images']['frechet']:.3g}", "rows": rows,
    }  # fmt: skip


def of_samples(folder: Path) -> dict[str, Any]:
    """What `python -m real quality` found of samples without and with a calibration."""
    found = _read(folder / "quality.json")
    made = Calibration.load(found["settings"]["calibration"])
    rows = []
    for row in found["over_seeds"]:
        before, after, change = (row["frechet"][name] for name in ("before", "after", "change"))
        rows.append({
            "nfe": row["nfe"], "before": f"{before['value']:.3g}", "after": f"{after['value']:.3g}",
            "change": f"{change['value']:+.2g} [{change['lower']:+.2g}, {change['upper']:+.2g}]",
        })  # fmt: skip
    return {
        "network": found["checkpoint"], "solver": found["solver"], "samples": found["samples"],
        "images": found["images"], "seeds": len(found["seeds"]), "features": found["features"],
        "real_images": f"{found['real_images']['frechet']:.3g}", "rows": rows,
        "order": 0 if made.slopes is None else 1, "times": len(made.times),
        "images_calibration": len(made.image_ids),
    }  # fmt: skip


def of_choice(file: Path) -> dict[str, Any]:
    """What `python -m real choose` tried, each beside nothing on the same trials, and what it chose."""
    solver = FittedSolver.load(file)
    choice = solver.figures["choice"]
    nothing = next(iter(choice["tried"].values()))

    def means(found: list[dict[str, float]]) -> dict[str, str]:
        return {
            name: f"{sum(row[name] for row in found) / len(found):.3g}"
            for name in ("kernel", "frechet")
        }

    return {
        "network": solver.provenance["checkpoint"], "nfe": solver.provenance["nfe"],
        "chosen": choice["chosen"], "samples": choice["samples"],
        "rows": [
            {"name": name, "trials": len(found), "own": means(found),
             "nothing": means(nothing[: len(found)])}
            for name, found in choice["tried"].items()
        ],
        "decided": {
            name: {
                "before": f"{choice[name]['before']['value']:.3g}",
                "after": f"{choice[name]['after']['value']:.3g}",
                "least": f"{choice[name]['fall']['lower']:.2g}",
            }
            for name in ("kernel", "frechet")
        },
    }  # fmt: skip


def of_network(folder: Path) -> dict[str, Any]:
    """A calibration of a network and its proof, as `real validate` wrote it."""
    report = _read(folder / "report.json")
    return {
        "network": report["checkpoint"], "times": len(report["times"]),
        "images": report["images_calibration"], "held_out": report["images_held_out"],
        "nats": {k: f"{v:.3g}" for k, v in report["bound_gain_nats"].items()},
        "certified": f"{report['total_certificate']:.3g}",
        "better": sum(row["heldout_gain_lower"] > 0 for row in report["times"]),
        "worse": sum(row["heldout_gain_upper"] < 0 for row in report["times"]),
    }  # fmt: skip


def of_faults() -> dict[str, Any]:
    """What `make mutants` wrote, and how many faults the tables hold now."""
    tables = [tomllib.loads(path.read_text()) for path in FAULTS.glob("*.toml")]
    rows = sum(len(entry["faults"]) for table in tables for entry in table.values())
    return {**_read(DOCS / "mutants.json"), "rows": rows}


def of_gpu() -> dict[str, Any]:
    """What `python -m real gpu-check` wrote: agreement, half precision, calls and speed."""
    check, speed = _read(DOCS / "gpu.json"), _read(DOCS / "gpu-speed.json")
    machine = check["machine"]
    return {
        "machine": f"{machine['name']}, torch {machine['torch']}, driver {machine['driver']}",
        "tolerances": check["tolerances"],
        "agreement": [
            {k: v if k in ("network", "within") else f"{v:.0e}" for k, v in row.items()}
            for row in check["agreement"]["found"]
        ],
        "half": [
            {k: v if isinstance(v, str) else f"{v:.1g}" for k, v in row.items()}
            for row in check["half_precision"]["found"]
        ],
        "calls": [
            {**row, "calls_per_second": f"{row['calls_per_second']:,.0f}"}
            for row in check["calls_digits"]["found"]
        ],
        "missing": _unmeasured(check, speed),
        "speed": [_speed(speed[f"speed_{name}"]["found"]) for name in ("digits", "fashion")],
    }


def _unmeasured(check: dict[str, Any], speed: dict[str, Any]) -> list[str]:
    """What a whole check measures and neither file has."""
    found = {name: part["found"] for name, part in (speed | check).items() if "found" in part}
    rows = [part for name, part in found.items() if name.startswith("speed_")]
    missing = [f"the speed of {n}" for n in WHOLE.networks if f"speed_{n}" not in found]
    missing += [f"compiling {n}" for n in WHOLE.compiled if f"calls_{n}" not in found]
    if not any("fitted" in row["sampling"] for row in rows):
        missing.append("sampling with a fitted solver")
    if not found["memory"]["settled_on"]:
        missing.append("running out of memory")
    return missing


def _speed(found: dict[str, Any]) -> dict[str, Any]:
    works = found["against_the_bare_network"]
    return {
        "network": found["network"], "batch_size": found["batch_size"],
        "bare": f"{found['evaluations_per_second']:,.0f}",
        "ratios": [f"{works[work]['ratio']:.2f}" for work in works],
        "sampling": [f"{100 * (ratio - 1):+.0f}" for ratio in found["sampling"].values()],
    }  # fmt: skip


def _shipped() -> str:
    """The networks that ship, and their sizes."""
    sizes = {
        folder.name: _read(folder / "training.json")["weights"]
        for folder in sorted((DOCS.parent / "real" / "assets").iterdir())
        if (folder / "training.json").is_file()
    }
    return ", ".join(f"`{name}` ({weights:,} weights)" for name, weights in sizes.items())


def filled(template: str, values: dict[str, Any]) -> str:
    """The template of that name with these figures."""
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters |= {"thousands": "{:,}".format, "scientific": "{:.0e}".format}
    known = dict.fromkeys(SECTIONS) | values
    return environment.from_string((DOCS / template).read_text()).render(known)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


SECTIONS = {
    "demo": of_demo,
    "study": of_study,
    "repair": of_repair,
    "solvers": of_solvers,
    "solvers_fashion": of_solvers,
    "solvers_cifar10": of_solvers,
    "samples_fashion": of_samples,
    "samples_fashion_unipc": of_samples,
    "choice_fashion": of_choice,
    "cifar10": of_network,
    "recorded": of_recorded,
}
PICTURES = {
    "demo": ("report/calibration.png", "calibration.png"),
    "study": ("study.png", "study.png"),
    "solvers": ("solver-study.png", "solvers.png"),
}


def main(arguments: list[str]) -> None:
    """Fill the figures of the folders that are given, then the pages."""
    values = json.loads(FIGURES.read_text())
    for name, _, folder in (argument.partition("=") for argument in arguments):
        found = SECTIONS[name](Path(folder))
        values |= found if name == "demo" else {name: found}
        if name in PICTURES:
            source, copy = PICTURES[name]
            shutil.copy(Path(folder) / source, DOCS / copy)
    values |= {"thorough": _read(DOCS / "thorough.json"), "faults": of_faults()}
    values |= {"gpu": of_gpu()}
    FIGURES.write_text(json.dumps(values, indent=2) + "\n")
    for page in PAGES:
        page.write_text(filled(f"{page.name}.j2", values))


if __name__ == "__main__":
    main(sys.argv[1:])
