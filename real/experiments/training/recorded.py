"""What was recorded of a network's mean error while it was trained, as a calibration of it."""

from pathlib import Path

import torch
from torch import Tensor

from real.checkpoints import load
from real.experiments.training.examples import Examples
from real.experiments.training.loop import Trainer
from theory.calibration.passes import Choice
from theory.calibration.result import Calibration
from theory.estimators.constant_shift import ConstantShift
from theory.estimators.recorded_shift import ShiftRecorder
from theory.estimators.time_grid import TimeGrid
from theory.forward.fingerprints import image_ids
from theory.statistics.intervals import Estimate
from theory.statistics.shrinkage import james_stein
from theory.support.broadcasting import along_batch

TIMES = 50
RECORDED = "recorded.safetensors"


def save_recorded(folder: Path, trainer: Trainer, examples: Examples) -> None:
    """Write the recorded shift beside the network that was saved in a folder; nothing if none was recorded.

    Its shift is shrunk by its own error (James and Stein) and certified nowhere: ``validate`` on
    images that were not trained on tells what it is worth.

    Args:
        folder: with the network as it is used, of averaged weights.
        trainer: its training.
        examples: all that it was trained on.
    """
    if trainer.recorder is not None:
        _calibration(folder, trainer, trainer.recorder, examples).save(folder / RECORDED)


def _calibration(
    folder: Path, trainer: Trainer, recorder: ShiftRecorder, examples: Examples
) -> Calibration:
    checkpoint = load(folder)
    times = checkpoint.schedule.times(checkpoint.schedule.grid(TIMES).unique())
    log_snr = TimeGrid(checkpoint.schedule, times).log_snr
    places = log_snr.to(trainer.device)
    recorded, error = recorder.shift(places).cpu(), recorder.error_energy(places).cpu()
    energy = recorded.flatten(1).square().sum(1)
    weights = james_stein(energy, error)
    predictions = trainer.progress.step * trainer.recipe.batch_size
    draws = max(1, predictions // (len(examples) * len(times)))
    unknown = tuple(Estimate(value, -torch.inf, torch.inf) for value in (energy - error).tolist())
    return Calibration(
        schedule=checkpoint.schedule,
        target=checkpoint.target,
        times=times,
        parts=(_shift(log_snr, recorded, weights, energy - error),),
        total_certificate=-torch.inf,
        eta_sq=unknown,
        eta_sq_of_set=unknown,
        error_energy=error,
        plain_error_energy=error,
        choices=(Choice("recorded in training", len(examples), draws),) * len(times),
        image_ids=image_ids(examples.images).sort().values,
        mean_image=examples.images.double().mean(0),
        provenance={
            "fingerprint": checkpoint.fingerprint, "images": len(examples), "order": 0,
            "seed": trainer.recipe.seed, "evaluations": predictions, "recorded": "in training",
        },
    )  # fmt: skip


def _shift(log_snr: Tensor, recorded: Tensor, weights: Tensor, gains: Tensor) -> ConstantShift:
    return ConstantShift(
        log_snr=log_snr,
        shift=along_batch(weights, recorded) * recorded,
        weights=weights,
        gains=gains.clamp(min=0),
        certificates=torch.full_like(weights, -torch.inf),
        smoothing=0.0,
        bands=1,
    )
