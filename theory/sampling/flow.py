"""The probability flow of a network, as solvers call it, and its fine solution."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float64, Real
from torch import Tensor

from theory.diffusion.data_range import DataRange
from theory.diffusion.schedules import DiscreteSchedule
from theory.diffusion.targets import DATA, convert
from theory.forward.images import DEFAULT_BATCH, Conditions, take
from theory.forward.network import Network
from theory.sampling.multistep import Multistep, second_order
from theory.support.errors import NonFiniteError


@runtime_checkable
class Steps(Protocol):
    """What a flow can be solved by: where it is evaluated, and u_{i+1} from u_i and D_0, ..., D_i."""

    @property
    def times(self) -> Tensor:
        """(n,), in order."""

    def step(self, i: int, u: Tensor, data: Sequence[Tensor]) -> Tensor:
        """u_{i+1}."""


Led = Callable[[int, Tensor], Tensor]
"""led(k, u): where positions u at the k-th time of a solver are led to."""


@dataclass(frozen=True)
class LedSteps:
    """Steps after some of which positions are led elsewhere.

    Attributes:
        steps: the steps.
        marks: number of the coarse time, by the place among the times that is arrived at.
        led: where to.
    """

    steps: Multistep
    marks: dict[int, int]
    led: Led

    @property
    def times(self) -> Tensor:
        """(n,), in order."""
        return self.steps.times

    def step(self, i: int, u: Tensor, data: Sequence[Tensor]) -> Tensor:
        """u_{i+1}."""
        following = self.steps.step(i, u, data)
        return self.led(self.marks[i + 1], following) if i + 1 in self.marks else following


@dataclass
class Flow:
    """Predictions of x_0 along trajectories, in their own conditions.

    Attributes:
        network: the network.
        clip: the range that predicted x_0 are clipped to; None for none.
        batch_size: trajectories per network call.
        device: where the network runs.
        on_progress: called with the number of evaluations after each call.
        evaluations: how many network evaluations it has taken.
    """

    network: Network
    clip: DataRange | None = None
    batch_size: int = DEFAULT_BATCH
    device: Any = "cpu"
    on_progress: Callable[[int], None] | None = None
    evaluations: int = field(default=0, init=False)

    @torch.no_grad()
    def data(
        self, u: Float64[Tensor, "b *shape"], t: Real[Tensor, ""], conditions: Conditions | None
    ) -> Float64[Tensor, "b *shape"]:
        """The prediction of x_0 at u = x_t / sqrt(alpha^2 + sigma^2).

        Raises:
            NonFiniteError: a prediction that is not finite.
        """
        schedule, found = self.network.schedule, []
        norm = torch.hypot(schedule.alpha(t), schedule.sigma(t)).item()
        for first in range(0, len(u), self.batch_size):
            part = torch.arange(first, min(first + self.batch_size, len(u)))
            x_t = (norm * u[part]).to(self.device, torch.float32)
            at = (t.to(x_t.dtype) if t.is_floating_point() else t).to(x_t.device).expand(len(x_t))
            own = take(conditions, part)
            y = self.network.predict(x_t, at) if own is None else self.network.predict(x_t, at, own)
            found.append(convert(y, x_t, t, self.network.target, DATA, schedule).to(u))
            self.evaluations += len(part)
            if self.on_progress:
                self.on_progress(len(part))
        x_0 = torch.cat(found)
        if not torch.isfinite(x_0).all():
            raise NonFiniteError(f"network: NaN or infinity in the prediction at t={t.item():g}")
        return x_0 if self.clip is None else x_0.clamp(self.clip.least, self.clip.most)

    def solve(
        self,
        solver: Steps,
        u: Float64[Tensor, "b *shape"],
        conditions: Conditions | None = None,
    ) -> list[Float64[Tensor, "b *shape"]]:
        """u_0, ..., u_n of a solver, fitted or not."""
        positions: list[Tensor] = [u]
        data: list[Tensor] = []
        for i, t in enumerate(solver.times):
            data.append(self.data(u, t, conditions))
            u = solver.step(i, u, data)
            positions.append(u)
        return positions

    def fine(
        self,
        solver: Multistep,
        division: int,
        u: Float64[Tensor, "b *shape"],
        conditions: Conditions | None = None,
        led: Led | None = None,
    ) -> list[Float64[Tensor, "b *shape"]]:
        """Where the fine solution is at a solver's times: X_0, ..., X_n.

        DPM-Solver++ 2M with each interval divided evenly in log-SNR.

        Args:
            solver: the coarse one.
            division: of its intervals.
            u: the starts.
            conditions: theirs.
            led: where X_k is led to at its time, 0 < k < n; the solution goes on from there.
        """
        times = fine_times(self.network, solver, division)
        place = {t: k for k, t in enumerate(times.tolist())}
        marks = [place[t] for t in solver.times.tolist()]
        fine = second_order(self.network.schedule, times)
        steps = (
            fine
            if led is None
            else LedSteps(fine, {place: k for k, place in enumerate(marks)}, led)
        )
        positions = self.solve(steps, u, conditions)
        return [*(positions[k] for k in marks), positions[-1]]


def fine_times(network: Network, solver: Multistep, division: int) -> Real[Tensor, "m"]:
    """The solver's times and others between them and after the last, the noisiest first."""
    schedule = network.schedule
    cleanest = schedule.grid(2)[:1]
    ends = [*dict.fromkeys(solver.times.tolist())]
    marks = torch.tensor(ends, dtype=solver.times.dtype)
    levels = torch.cat([schedule.log_snr(marks), schedule.log_snr(cleanest)])
    levels = levels.clamp(min=schedule.log_snr(schedule.grid(2)[-1:]).item())
    found: list[float] = []
    for start, (now, then) in zip(ends, pairwise(levels.tolist()), strict=True):
        inner = torch.linspace(now, then, division + 1, dtype=torch.float64)[1:-1]
        between = schedule.time_of(inner)
        if isinstance(schedule, DiscreteSchedule):
            between = between.round().long()
        found += [start, *between.tolist()]
    last = cleanest.item() if cleanest.is_floating_point() else int(cleanest.item())
    ordered = sorted({*found, last}, reverse=True)
    return torch.tensor(ordered, dtype=marks.dtype)
