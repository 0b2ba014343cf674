"""Whether a device says what the CPU says, and what half precision changes."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from real.calibrated.calibrate import calibrate_checkpoint
from real.calibrated.conditions import of_images, of_samples
from real.experiments.device_check.subjects import SHIPPED, Scale, images_of, subject
from real.families.checkpoint import Checkpoint
from real.running import DTYPES, run_well
from real.solvers.sampling import latents, sample
from theory.calibration import Calibrated, Calibration
from theory.forward.keyed_noise import keyed_noise

CPU = torch.device("cpu")
TOLERANCES = {
    "predictions": 1e-5,
    "shift_over_its_error": 1e-2,
    "certificate": 1e-3,
    "samples": 1e-2,
}
"""What a device may differ by in float32: predictions by this share of their norm, shifts by this
share of their standard error, the certificate by this share of itself, and samples in [-1, 1] by
this much at most."""


@dataclass(frozen=True)
class Outcome:
    """What a network says on one device: predictions, a calibration of order 1, and samples."""

    predictions: Tensor
    calibration: Calibration
    samples: Tensor


def agreement(device: torch.device, scale: Scale) -> list[dict[str, Any]]:
    """How far the device is from the CPU in float32, for the networks that ship."""
    rows = []
    for name in SHIPPED:
        here, there = (_outcome(subject(name, d), d, scale) for d in (CPU, device))
        found = {
            "predictions": relative(there.predictions, here.predictions),
            "samples": (there.samples - here.samples).abs().max().item(),
            **_difference(there.calibration, here.calibration),
        }
        within = {key: found[key] <= most for key, most in TOLERANCES.items()}
        rows.append({"network": name, **found, "within": all(within.values())})
    return rows


def half_precision(device: torch.device, scale: Scale) -> list[dict[str, Any]]:
    """What autocast changes on the device, against float32 there."""
    rows = []
    for name in SHIPPED:
        checkpoint = subject(name, device)
        exact = _outcome(checkpoint, device, scale)
        for dtype in DTYPES:
            if dtype == "float32":
                continue
            half = _outcome(run_well(checkpoint, device, dtype=dtype), device, scale)
            rows.append({
                "network": name, "dtype": dtype,
                "predictions": relative(half.predictions, exact.predictions),
                "samples": (half.samples - exact.samples).abs().max().item(),
                **_difference(half.calibration, exact.calibration),
            })  # fmt: skip
    return rows


def relative(found: Tensor, expected: Tensor) -> float:
    """|found - expected| over |expected|."""
    found, expected = found.double().cpu(), expected.double().cpu()
    return ((found - expected).norm() / expected.norm()).item()


def _outcome(checkpoint: Checkpoint, device: torch.device, scale: Scale) -> Outcome:
    images = images_of(checkpoint, scale.images, scale.images)
    times = checkpoint.schedule.times(checkpoint.schedule.grid(scale.times))
    made = calibrate_checkpoint(
        checkpoint, images, times, device=device, conditions=of_images(checkpoint, images, "joint")
    )
    count = min(scale.images, 64)
    samples = sample(
        checkpoint, Calibrated(checkpoint.predict, made),
        latents(checkpoint, count, 0).to(device), solver="ddim", nfe=scale.nfe,
        condition=of_samples(checkpoint, count, None),
    )  # fmt: skip
    return Outcome(_predictions(checkpoint, times, device), made, samples.images)


@torch.no_grad()
def _predictions(checkpoint: Checkpoint, times: Tensor, device: torch.device) -> Tensor:
    """Of noise at each time, on the CPU."""
    count = 16
    noise = keyed_noise(0, "device check", 0, 0, torch.arange(count), checkpoint.shape)
    condition = of_samples(checkpoint, count, None)
    found = []
    for t in times:
        at = (t.float() if t.is_floating_point() else t).to(device).expand(count)
        x_t = noise.float().to(device)
        given = () if condition is None else (condition,)
        found.append(checkpoint.predict(x_t, at, *given).cpu())
    return torch.stack(found)


def _difference(found: Calibration, expected: Calibration) -> dict[str, float]:
    """Of the shifts, over their standard error at that time (the largest), and of the certificate."""
    moved = (found.shift - expected.shift).flatten(1).norm(dim=1)
    errors = expected.error_energy.sqrt()
    certificate = abs(found.total_certificate - expected.total_certificate)
    return {
        "shift_over_its_error": (moved / errors).max().item(),
        "certificate": certificate / max(abs(expected.total_certificate), 1e-12),
    }
