"""Calibrations on disk: safetensors, with everything that is not a tensor as JSON metadata."""

import json
from dataclasses import asdict, fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from theory.calibration.passes import Choice
from theory.calibration.procedure import Calibration
from theory.diffusion import targets
from theory.diffusion.schedules import from_description
from theory.estimators.class_shift import ClassShift
from theory.estimators.slopes import Slopes
from theory.statistics.intervals import Estimate
from theory.support.errors import InputError
from theory.support.output import replacing_file
from theory.support.safe_reading import parse_json

FORMAT = "diffusion-martingale calibration 2"


def save(calibration: Calibration, path: Path) -> None:
    """Write the calibration; the file appears whole or not at all."""
    tensors = {
        "times": calibration.times,
        "shift": calibration.shift.contiguous(),
        "weights": calibration.weights,
        "certificates": calibration.certificates,
        "gains": calibration.gains,
        "eta_sq": _rows(calibration.eta_sq),
        "eta_sq_of_set": _rows(calibration.eta_sq_of_set),
        "error_energy": calibration.error_energy,
        "plain_error_energy": calibration.plain_error_energy,
        "image_ids": calibration.image_ids,
    }
    metadata = {
        "format": FORMAT,
        "schedule": json.dumps(calibration.schedule.describe()),
        "target": calibration.target.name,
        "total_certificate": json.dumps(calibration.total_certificate),
        "smoothing": json.dumps(calibration.smoothing),
        "bands": json.dumps(calibration.bands),
        "choices": json.dumps([asdict(choice) for choice in calibration.choices]),
        "provenance": json.dumps(dict(calibration.provenance)),
    }
    if calibration.slopes is not None and calibration.noise_energy is not None:
        tensors |= _slope_tensors(calibration.slopes)
        tensors["noise_energy"] = calibration.noise_energy
        metadata["kinds"] = json.dumps(calibration.slopes.kinds)
    if calibration.class_shift is not None:
        tensors |= {f"class_{k}": v for k, v in vars(calibration.class_shift).items()}
    with replacing_file(path) as temporary:
        save_file(tensors, temporary, metadata)


def _rows(estimates: tuple[Estimate, ...]) -> Tensor:
    rows = [[e.value, e.lower, e.upper] for e in estimates]
    return torch.tensor(rows, dtype=torch.float64)


def _slope_tensors(slopes: Slopes) -> dict[str, Tensor]:
    tensors = {
        "slope_offset": slopes.offset,
        "slope_pixel": slopes.pixel,
        "slope_gains": slopes.gains,
        "slope_certificates": slopes.certificates,
    }
    some = {"slope_cosine": slopes.cosine, "slope_low_rank": slopes.low_rank}
    return tensors | {name: tensor for name, tensor in some.items() if tensor is not None}


def _slopes(tensors: dict[str, Tensor], metadata: dict[str, str]) -> Slopes | None:
    if "kinds" not in metadata and not any(name.startswith("slope_") for name in tensors):
        return None
    return Slopes(
        offset=tensors["slope_offset"],
        pixel=tensors["slope_pixel"],
        cosine=tensors.get("slope_cosine"),
        kinds=tuple(parse_json(metadata["kinds"])),
        gains=tensors["slope_gains"],
        certificates=tensors["slope_certificates"],
        low_rank=tensors.get("slope_low_rank"),
    )


def _class_shift(tensors: dict[str, Tensor]) -> ClassShift | None:
    if not any(name.startswith("class_") for name in tensors):
        return None
    return ClassShift(**{f.name: tensors[f"class_{f.name}"] for f in fields(ClassShift)})


def load(path: Path) -> Calibration:
    """Read a calibration that ``save`` wrote.

    Raises:
        InputError: there is no such file, or it is no calibration, or a damaged one.
    """
    if not path.is_file():
        raise InputError(f"calibration: expected a file, there is none at {path}")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise InputError(f"calibration: this is no calibration of format {FORMAT!r}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return _built(tensors, metadata)
    except InputError as error:
        raise InputError(f"{error} (in {path})") from error
    except (
        SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError,
        OverflowError, RuntimeError,
    ) as error:  # fmt: skip
        raise InputError(f"calibration: {path} cannot be read as a calibration") from error


def _built(tensors: dict[str, Tensor], metadata: dict[str, str]) -> Calibration:
    """The calibration of these parts, which checks them."""
    return Calibration(
        schedule=from_description(parse_json(metadata["schedule"])),
        target=targets.named(metadata["target"]),
        times=tensors["times"],
        shift=tensors["shift"],
        weights=tensors["weights"],
        eta_sq=_estimates(tensors["eta_sq"]),
        eta_sq_of_set=_estimates(tensors["eta_sq_of_set"]),
        gains=tensors["gains"],
        total_certificate=parse_json(metadata["total_certificate"]),
        smoothing=parse_json(metadata["smoothing"]),
        bands=parse_json(metadata["bands"]),
        slopes=_slopes(tensors, metadata),
        class_shift=_class_shift(tensors),
        noise_energy=tensors.get("noise_energy"),
        certificates=tensors["certificates"],
        error_energy=tensors["error_energy"],
        plain_error_energy=tensors["plain_error_energy"],
        choices=tuple(Choice(**choice) for choice in parse_json(metadata["choices"])),
        image_ids=tensors["image_ids"],
        provenance=parse_json(metadata["provenance"]),
    )


def _estimates(rows: Tensor) -> tuple[Estimate, ...]:
    if rows.dtype != torch.float64:
        raise InputError(f"calibration: expected estimates in float64, got {rows.dtype}")
    return tuple(Estimate(*row) for row in rows.tolist())
