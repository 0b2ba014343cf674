"""Martingales of the reverse process: the score, the posterior, the tower, the translations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from theory.bounds.concentration import ville
from theory.bounds.gaussian_tails import clock_between, translation_tail
from theory.support.plot_style import BLUE, GREEN, ORANGE
from toy.claims.mistakes import one_power_less
from toy.figures.common import (
    LOOKS,
    MARKERS,
    SMALL,
    Axes,
    Bundle,
    Frequencies,
    draw_bundle,
    draw_frequencies,
    gaussian_on_line,
    legend_below,
    legend_of_suprema,
    log_snr_grid_between,
    mixture_on_line,
)
from toy.mixtures.density_derivatives import log_translation, tower_martingale
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import float64
from toy.mixtures.reverse_paths import two_components, values_along_paths
from toy.numerics.quadrature import expectation

OfTime = Callable[..., Tensor]
"""From points x (n, d) and one time t to values (n, m)."""

REVERSED = r"time $t$ (reverse process $\rightarrow$)"
FLOOR = 1e-17
"""Least residual that is shown."""


@dataclass(frozen=True)
class ScorePaths:
    """M along exact reverse paths from one x_T, and the value that its mean must keep.

    ``without_alpha`` (T,) is the mean of the score without its factor, scaled to the same start.
    """

    paths: Bundle
    without_alpha: Tensor
    start: float


@dataclass(frozen=True)
class Residuals:
    """|E[M_s|x_t] - M_t| / E[|M_s||x_t] for s < t, NaN elsewhere: with and without alpha."""

    times: Tensor
    martingale: Tensor
    without_alpha: Tensor


@dataclass(frozen=True)
class PosteriorPaths:
    """E[x_0|x_t] and P(1|x_t) along the same paths from one x_T; the mean of x_t/alpha_t beside."""

    mean: Bundle
    probability: Bundle
    rescaled: Tensor
    starts: tuple[float, float]


@dataclass(frozen=True)
class TowerResiduals:
    """Residuals of alpha^n q^(n)/q, orders n = 1, 2, 3, over s (S,): (3, S).

    ``power_less``: the same with alpha^(n - 1).
    """

    t: float
    times: Tensor
    residuals: Tensor
    power_less: Tensor


@dataclass(frozen=True)
class TranslationPaths:
    """L_t(h) along reverse paths, and the tail of its supremum against 1/b at levels b (B,).

    ``closed_form`` is for one Gaussian, ``gaussian`` and ``mixture`` are seen along paths.
    """

    h: float
    paths: Bundle
    levels: Tensor
    bound: Tensor
    closed_form: Tensor
    gaussian: Frequencies
    mixture: Frequencies


def compute_score_paths(seed: int, count: int = 2000, steps: int = 60) -> ScorePaths:
    """Exact reverse paths of a one-dimensional mixture, all from the same x_T."""
    diffusion, generator = mixture_on_line(), torch.Generator().manual_seed(seed)
    times = torch.linspace(0.4, 0.02, steps, dtype=torch.float64)
    x_t = torch.full((count, 1), 1.6, dtype=torch.float64)
    values = values_along_paths(
        diffusion, x_t, times.tolist(), lambda x, t: diffusion.martingale(x, t)[:, 0], generator
    )
    alphas = diffusion.schedule.alpha(times)
    without_alpha = values.mean(1) * alphas[0] / alphas
    return ScorePaths(Bundle.of(times, values), without_alpha, values[0, 0].item())


def compute_residuals(points: int = 24) -> Residuals:
    """The martingale's residual by quadrature over a grid of (s, t), at x_t = 0.8."""
    diffusion = mixture_on_line()
    times = torch.linspace(0.02, 1.0, points, dtype=torch.float64)
    x_t = float64([0.8])

    def grid(process: OfTime) -> Tensor:
        """Residuals over s and t, NaN unless s < t."""
        values = torch.full((points, points), torch.nan, dtype=torch.float64)
        for j, t in enumerate(times.tolist()):
            for i, s in enumerate(times[:j].tolist()):
                values[i, j] = _residual(diffusion, process, x_t, s, t)
        return values

    return Residuals(times, grid(diffusion.martingale), grid(diffusion.score))


def _residual(diffusion: Diffusion, process: OfTime, x_t: Tensor, s: float, t: float) -> float:
    kernel = diffusion.reverse_kernel(x_t, s, t)
    integral = expectation(kernel, partial(process, t=s))
    return ((integral.value - process(x_t, t)).abs() / integral.magnitude).item()


def compute_posterior(seed: int, count: int = 8000, steps: int = 60) -> PosteriorPaths:
    """Posterior mean and probability of a component, on the same paths from one x_T."""
    diffusion = mixture_on_line()
    times = torch.linspace(0.5, 0.02, steps, dtype=torch.float64)
    x_t = torch.zeros(count, 1, dtype=torch.float64)

    def follow(process: OfTime) -> Tensor:
        """A process along the same paths, (T, n)."""
        generator = torch.Generator().manual_seed(seed)
        return values_along_paths(
            diffusion, x_t, times.tolist(), lambda x, t: process(x, t)[:, 0], generator
        )

    mean = follow(diffusion.posterior_mean)
    probability = follow(diffusion.component_probabilities)
    rescaled = follow(lambda x, t: x / diffusion.scales(t)[0]).mean(1)
    starts = mean[0, 0].item(), probability[0, 0].item()
    return PosteriorPaths(Bundle.of(times, mean), Bundle.of(times, probability), rescaled, starts)


def compute_tower(t: float = 0.6, points: int = 30) -> TowerResiduals:
    """Residuals of the first three orders over s < t, at x_t = 0.8."""
    diffusion, x_t = mixture_on_line(), float64([0.8])
    times = torch.linspace(0.05, 0.95 * t, points, dtype=torch.float64)

    def over_times(process: OfTime) -> list[float]:
        """Residuals at every s."""
        return [_residual(diffusion, process, x_t, s, t) for s in times.tolist()]

    orders = (1, 2, 3)
    exact = [over_times(partial(tower_martingale, diffusion, order=n)) for n in orders]
    wrong = [over_times(partial(one_power_less, diffusion, order=n)) for n in orders]
    return TowerResiduals(t, times, float64(exact), float64(wrong))


def compute_translation(seed: int, count: int = 10_000, steps: int = 150) -> TranslationPaths:
    """L_t(h) for one Gaussian and for a mixture, from x_T ~ q_T."""
    h, v, t, s = 1.5, 1.0, 1.0, 0.02
    levels = torch.logspace(0.05, 1.7, 12, dtype=torch.float64)
    alone, mixture = gaussian_on_line(v), two_components(1, 2.0, v)
    log_alone, log_mixture = (
        _log_translations(d, h, (t, s), count, steps, seed) for d in (alone, mixture)
    )
    times = log_snr_grid_between(mixture, t, s, steps)
    variance = clock_between(alone.schedule, v, s, t)
    growth = [(x - x[0]).amax(0).exp() for x in (log_alone, log_mixture)]
    return TranslationPaths(
        h, Bundle.of(times, log_mixture.exp()), levels,
        float64([ville(b) for b in levels.tolist()]),
        float64([translation_tail(b, h, variance) for b in levels.tolist()]),
        Frequencies.of(growth[0], levels), Frequencies.of(growth[1], levels),
    )  # fmt: skip


def _log_translations(
    diffusion: Diffusion, h: float, ends: tuple[float, float], count: int, steps: int, seed: int
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shift = float64([h])
    x = diffusion.marginal(ends[0]).sample(generator, count)
    times = log_snr_grid_between(diffusion, *ends, steps)

    def log_ratio(x: Tensor, t: float) -> Tensor:
        """log L_t(h)."""
        return log_translation(diffusion.marginal(t), x, diffusion.scales(t)[0] * shift)

    return values_along_paths(diffusion, x, times.tolist(), log_ratio, generator)


def draw_score_paths(axes: Sequence[Axes], result: ScorePaths) -> None:
    """Some paths of M_t, their mean over all, and the value that the mean must keep."""
    (ax,) = axes
    draw_bundle(ax, result.paths, result.start, "$M_T(x_T)$")
    ax.plot(
        result.paths.times, result.without_alpha, color=GREEN, lw=1.5, ls="--",
        label=r"mean without the factor $\alpha_t$",
    )  # fmt: skip
    ax.set(
        xlabel=REVERSED,
        ylabel=r"$M_t=\alpha_t\,\nabla\log q_t(x_t)$",
        title="The scaled score is a martingale of the reverse process",
    )
    ax.legend(loc="upper left")


def draw_residuals(axes: Sequence[Axes], result: Residuals) -> None:
    """Relative residual over (s, t): the martingale, and the score without its factor alpha."""
    low, high = result.times[[0, -1]].tolist()
    pairs = (
        (result.martingale, r"$\alpha_t\nabla\log q_t$"),
        (result.without_alpha, r"$\nabla\log q_t$ (no $\alpha_t$)"),
    )
    for ax, (values, name) in zip(axes, pairs, strict=True):
        image = ax.imshow(
            values.clamp(min=FLOOR).T.numpy(), origin="lower", extent=(low, high, low, high),
            norm="log", vmin=FLOOR, vmax=1, cmap="cividis", aspect="equal",
        )  # fmt: skip
        ax.set(xlabel="$s$", ylabel="$t$", title=name)
    axes[0].figure.colorbar(
        image, ax=list(axes), label=r"$|E[M_s|x_t]-M_t|\,/\,E[|M_s|\,|x_t]$", shrink=0.9
    )


def draw_posterior(axes: Sequence[Axes], result: PosteriorPaths) -> None:
    """Posterior mean and component probability along the same paths."""
    left, right = axes
    draw_bundle(left, result.mean, result.starts[0], "value at $x_T$")
    left.plot(
        result.mean.times, result.rescaled, color=GREEN, lw=1.3, ls="--",
        label=r"mean of $x_t/\alpha_t$",
    )  # fmt: skip
    draw_bundle(right, result.probability, result.starts[1], "value at $x_T$")
    left.set(xlabel=REVERSED, ylabel=r"$E[x_0\,|\,x_t]$", title="Posterior mean")
    right.set(xlabel=REVERSED, ylabel=r"$P(k{=}1\,|\,x_t)$", title="Posterior probability")
    legend_below(left, 3)


def draw_tower(axes: Sequence[Axes], result: TowerResiduals) -> None:
    """Residuals of three orders, and with a power of alpha too few."""
    (ax,) = axes
    rows = zip(result.residuals, result.power_less, LOOKS, MARKERS, strict=False)
    for n, (exact, wrong, (color, _), marker) in enumerate(rows, 1):
        power, less = (r"\alpha_t" if k == 1 else rf"\alpha_t^{k}" if k else "" for k in (n, n - 1))
        name = rf"q_t^{{({n})}}\!/q_t"
        ax.semilogy(
            result.times, exact.clamp(min=FLOOR), color=color, marker=marker, ms=3, lw=0.6,
            label=f"${power}\\,{name}$",
        )  # fmt: skip
        ax.semilogy(result.times, wrong, color=color, ls="--", label=f"${less}\\,{name}$")
    ax.set(
        xlabel=f"$s$, for $t={result.t:g}$",
        ylabel=r"$|E[h_s|x_t]-h_t|\,/\,E[|h_s|\,|x_t]$",
        ylim=(FLOOR / 3, 30),
        title="Every derivative's order needs its own power of $\\alpha$",
    )
    legend_below(ax, 3)


def draw_translation(axes: Sequence[Axes], result: TranslationPaths) -> None:
    """Paths of L_t(h) around their mean of 1, and the tail of the supremum under 1/b."""
    left, right = axes
    draw_bundle(left, result.paths, 1.0, "its mean, 1")
    left.set(yscale="log", ylim=(1e-2, 60), xlabel=REVERSED, ylabel="$L_t(h)$")
    left.set_title(f"Translation, $h={result.h:g}$")
    left.legend(fontsize=SMALL, loc="upper left")
    right.loglog(result.levels, result.bound, color=ORANGE, lw=2, label="Ville: $1/b$")
    right.plot(result.levels, result.closed_form, color=BLUE, label="Gaussian, exact")
    draw_frequencies(right, result.gaussian, BLUE, "o", "Gaussian, grid")
    draw_frequencies(right, result.mixture, GREEN, "s", "mixture, grid")
    right.set(
        xlabel="level $b$", ylabel=r"$P(\sup_t L_t/L_T\geq b)$", title="Its supremum",
        ylim=(1e-4, 2),
    )  # fmt: skip
    legend_of_suprema(right)
