"""A solver with what was fitted to it: its start, what is added to its steps, and maps after them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Real
from torch import Tensor

from theory.diffusion.data_range import DataRange
from theory.sampling.cells import CellWeights, partition
from theory.sampling.marginal_fit import MomentMap
from theory.sampling.multistep import Multistep
from theory.sampling.start import DataStart
from theory.support import stored
from theory.support.errors import InputError
from theory.support.safe_reading import parse_json
from theory.support.stored import Contents

FORMAT = "fitted-solver-1"
START, TRAJECTORY, MARGINALS = PARTS = ("start", "trajectory", "marginals")


@dataclass(frozen=True, eq=False, repr=False)
class FittedSolver:
    """A linear multistep solver, fitted to one network. Plain data.

    Attributes:
        shape: of one image.
        base: the solver that was fitted.
        added: (n), what is added to each step; None where nothing is.
        maps: (n), the map after each step; None where there is none.
        start: how starts follow from noise; None for the noise itself.
        clip: the range that predictions of x_0 are clipped to; None for none.
        figures: what the fit cost and gained, by name.
        provenance: of which network, solver and images.
    """

    shape: tuple[int, ...]
    base: Multistep
    added: tuple[CellWeights | None, ...]
    maps: tuple[MomentMap | None, ...]
    start: DataStart | None = None
    clip: DataRange | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, steps in (("additions", self.added), ("maps", self.maps)):
            if len(steps) != len(self.base):
                raise InputError(
                    f"fitted solver: expected {len(self.base)} {what}, got {len(steps)}"
                )

    @classmethod
    def unfitted(
        cls,
        shape: tuple[int, ...],
        base: Multistep,
        clip: DataRange | None,
        provenance: Mapping[str, Any],
    ) -> "FittedSolver":
        """The solver itself, with nothing fitted to it."""
        nothing = (None,) * len(base)
        return cls(shape, base, nothing, nothing, clip=clip, provenance=provenance)

    @property
    def times(self) -> Real[Tensor, "n"]:
        """Where the network is evaluated, in this order."""
        return self.base.times

    def to(self, like: Tensor) -> "FittedSolver":
        """The same for trajectories on the device and in the dtype of a tensor."""
        return replace(
            self,
            added=tuple(part and part.to(like) for part in self.added),
            maps=tuple(part and part.to(like) for part in self.maps),
            start=self.start and self.start.to(like),
        )

    def begin(self, noise: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """u_0 from standard noise."""
        return noise if self.start is None else self.start.from_noise(noise)

    def clipped(self, x_0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """A prediction as the steps take it."""
        return x_0 if self.clip is None else x_0.clamp(self.clip.least, self.clip.most)

    def step(
        self, i: int, u: Float[Tensor, "b *shape"], data: Sequence[Float[Tensor, "b *shape"]]
    ) -> Float[Tensor, "b *shape"]:
        """u_{i+1} from u_i and the clipped predictions D_0, ..., D_i."""
        following = self.base.step(i, u, data)
        added, mapped = self.added[i], self.maps[i]
        if added is not None:
            following = following + added.apply([u, *reversed(data)])
        return following if mapped is None else mapped.apply(following)

    @property
    def parts(self) -> tuple[str, ...]:
        """Which parts change anything."""
        present = (
            self.start is not None,
            any(part is not None for part in self.added),
            any(part is not None for part in self.maps),
        )
        return tuple(name for name, there in zip(PARTS, present, strict=True) if there)

    def __repr__(self) -> str:
        made = self.provenance
        return (
            f"FittedSolver of {len(self.base)} evaluations for {made.get('checkpoint', 'a network')}, "
            f"images {self.shape}: {', '.join(self.parts) or 'nothing'} on {made.get('solver', 'a solver')}"
        )

    def save(self, path: Path | str) -> None:
        """Write it as safetensors; the file appears whole or not at all."""
        tensors = {
            "times": self.base.times, "log_snr": self.base.log_snr, "weights": self.base.weights
        }  # fmt: skip
        names: list[dict[str, str]] = []
        for i, (added, mapped) in enumerate(zip(self.added, self.maps, strict=True)):
            names.append({})
            if added is not None:
                names[i]["added"] = added.cells.name
                tensors[f"added.{i}"] = added.weights
            if mapped is not None:
                names[i]["map"] = mapped.cells.name
                for what in ("gain", "centre", "offset"):
                    tensors[f"map.{i}.{what}"] = getattr(mapped, what)
        if self.start is not None:
            for what in ("mean", "directions", "stretch"):
                tensors[f"start.{what}"] = getattr(self.start, what)
        clip = None if self.clip is None else [self.clip.least, self.clip.most]
        texts = {
            "shape": json.dumps(self.shape),
            "cells": json.dumps(names),
            "clip": json.dumps(clip),
            "start_noise": json.dumps(None if self.start is None else self.start.noise),
            "figures": json.dumps(dict(self.figures)),
            "provenance": json.dumps(dict(self.provenance)),
        }
        stored.write(stored.as_path("fitted solver", path), Contents(tensors, texts), FORMAT)

    @classmethod
    def load(cls, path: Path | str) -> "FittedSolver":
        """Read what ``save`` wrote; nothing in the file is run.

        Raises:
            InputError: there is no such file, or it is no fitted solver, or a damaged one.
        """
        with stored.reading(
            stored.as_path("fitted solver", path), "fitted solver", FORMAT
        ) as found:
            tensors, texts = found.tensors, found.texts
            shape = tuple(parse_json(texts["shape"]))
            base = Multistep(tensors["times"], tensors["log_snr"], tensors["weights"])
            names, clip = parse_json(texts["cells"]), parse_json(texts["clip"])
            for tensor in tensors.values():
                if not tensor.isfinite().all() and tensor is not tensors["log_snr"]:
                    raise InputError("fitted solver: expected finite numbers")
            noise = parse_json(texts["start_noise"])
            return cls(
                shape, base,
                tuple(_added(tensors, name, i, shape) for i, name in enumerate(names)),
                tuple(_map(tensors, name, i, shape) for i, name in enumerate(names)),
                None if noise is None else _start(tensors, float(noise), shape),
                None if clip is None else DataRange(*clip),
                parse_json(texts["figures"]), parse_json(texts["provenance"]),
            )  # fmt: skip


def _added(
    tensors: Mapping[str, Tensor], names: Mapping[str, str], i: int, shape: tuple[int, ...]
) -> CellWeights | None:
    if "added" not in names:
        return None
    cells, weights = partition(names["added"], shape), tensors[f"added.{i}"]
    _require_shape(f"added.{i}", weights, (len(weights), cells.count))
    return CellWeights(cells, weights)


def _map(
    tensors: Mapping[str, Tensor], names: Mapping[str, str], i: int, shape: tuple[int, ...]
) -> MomentMap | None:
    if "map" not in names:
        return None
    cells = partition(names["map"], shape)
    gain, centre, offset = (tensors[f"map.{i}.{what}"] for what in ("gain", "centre", "offset"))
    _require_shape(f"map.{i}.gain", gain, (cells.count,))
    for what, values in (("centre", centre), ("offset", offset)):
        _require_shape(f"map.{i}.{what}", values, (len(cells.index),))
    return MomentMap(cells, gain, centre, offset)


def _start(tensors: Mapping[str, Tensor], noise: float, shape: tuple[int, ...]) -> DataStart:
    mean, directions, stretch = (
        tensors[f"start.{what}"] for what in ("mean", "directions", "stretch")
    )
    _require_shape("start.mean", mean, shape)
    _require_shape("start.directions", directions, (len(stretch), mean.numel()))
    return DataStart(mean, directions, stretch, noise)


def _require_shape(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape or tensor.dtype != torch.float64:
        raise InputError(
            f"fitted solver: expected {name} float64 {shape}, got {tuple(tensor.shape)}"
        )
