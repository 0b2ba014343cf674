"""Few evaluations on an exact mixture: distance to the flow, and to the data, of fitted solvers."""

from dataclasses import dataclass, replace

import torch
from scipy.stats import wasserstein_distance
from torch import Tensor

from theory.diffusion.targets import NOISE
from theory.forward.network import Network
from theory.sampling.data_law import DataLaw
from theory.sampling.fit import Starts, fit_solver
from theory.sampling.fitted import FittedSolver
from theory.sampling.flow import Flow
from theory.sampling.multistep import first_order, second_order
from toy.figures.common import Axes, legend_below, log_snr_grid_between, mixture_on_line, styled
from toy.mixtures.diffusion import Diffusion

EVALUATIONS = (3, 4, 6, 8, 12)
IMAGES, STARTS, FRESH = 4000, 64, 500
FINE = 8
SHAPE = (1,)


@dataclass(frozen=True)
class FewSteps:
    """Over numbers of evaluations (n,): by solver, root mean squared distance of samples to the fine
    solution from the same starts, and Wasserstein distance of their law to the data's."""

    evaluations: Tensor
    to_flow: dict[str, Tensor]
    to_data: dict[str, Tensor]


def _flow(diffusion: Diffusion) -> Flow:
    schedule = diffusion.schedule

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        """The exact noise."""
        at = t[0].double()
        e = -schedule.sigma(at) * diffusion.score(x_t.double(), at.item())
        return e.to(x_t)

    return Flow(Network(predict, schedule, NOISE), batch_size=FRESH)


def compute_few_steps(seed: int) -> FewSteps:
    """DDIM, DPM-Solver++ 2M, and DDIM with what is fitted to it."""
    diffusion = mixture_on_line()
    images = diffusion.data.sample(torch.Generator().manual_seed(seed), IMAGES)
    law, flow = DataLaw.of(images.split(1000)), _flow(diffusion)
    starts = Starts.drawn(seed, "figure", FRESH, SHAPE, None)
    to_flow: dict[str, list[float]] = {}
    to_data: dict[str, list[float]] = {}
    for n in EVALUATIONS:
        times = log_snr_grid_between(diffusion, 1.0, 0.01, n - 1)
        base = first_order(diffusion.schedule, times)
        nothing = (None,) * n
        solvers = {
            "DDIM": FittedSolver(SHAPE, base, nothing, nothing),
            "DPM-Solver++ 2M": FittedSolver(
                SHAPE, second_order(diffusion.schedule, times), nothing, nothing
            ),
            "DDIM, trajectory fitted": fit_solver(
                flow, base, SHAPE, parts=("trajectory",), starts=STARTS, fresh=16, seed=seed
            ),
            "DDIM, all fitted": fit_solver(
                flow, base, SHAPE, law=law, starts=STARTS, fresh=16, seed=seed
            ),
        }
        for name, solver in solvers.items():
            ends = flow.solve(solver, solver.begin(starts.noise))[-1]
            fine = flow.fine(base, FINE, replace(solver, start=None).begin(starts.noise))[-1]
            to_flow.setdefault(name, []).append((ends - fine).square().mean().sqrt().item())
            to_data.setdefault(name, []).append(
                wasserstein_distance(ends.flatten().numpy(), images.flatten().numpy())
            )
    return FewSteps(
        torch.tensor(EVALUATIONS, dtype=torch.float64), _stacked(to_flow), _stacked(to_data)
    )


def _stacked(by_name: dict[str, list[float]]) -> dict[str, Tensor]:
    return {name: torch.tensor(v, dtype=torch.float64) for name, v in by_name.items()}


def draw_few_steps(axes: list[Axes], found: FewSteps) -> None:
    """Both distances over the number of evaluations."""
    labels = ("distance to the flow", "distance to the data")
    for ax, curves, label in zip(axes, (found.to_flow, found.to_data), labels, strict=True):
        for name, curve, color, style, marker in styled(curves):
            ax.loglog(
                found.evaluations, curve, color=color, ls=style, marker=marker, ms=3, label=name
            )
        ax.set_xticks(EVALUATIONS, map(str, EVALUATIONS))
        ax.set_xticks([], minor=True)
        ax.set_xlabel("network evaluations")
        ax.set_ylabel(label)
    legend_below(axes[0], 2)
