"""What is drawn of bundles, frequencies and powers, and on which panel each series of a figure lies."""

import pytest
import torch

from tests.draws import normal
from tests.toy.figures.panels import (
    are_labelled,
    drawn,
    frequencies_of,
    goes_through,
    panels,
    series,
    shows,
)
from toy.figures.betting import Price, draw_price
from toy.figures.bounds import (
    MeanTails,
    StoppedMeans,
    SupremumTails,
    draw_azuma,
    draw_stopping,
    draw_tails,
)
from toy.figures.common import LOOKS, Bundle, Frequencies, draw_bundle, draw_frequencies, draw_power
from toy.figures.dynamics import (
    ChainErrors,
    DriftErrors,
    EnergyCurves,
    ScheduleCurves,
    draw_drift,
    draw_energy,
    draw_euler,
    draw_schedules,
)
from toy.figures.likelihood_bounds import Refinement, draw_refinement
from toy.figures.martingales import (
    FLOOR,
    PosteriorPaths,
    Residuals,
    ScorePaths,
    TowerResiduals,
    TranslationPaths,
    draw_posterior,
    draw_residuals,
    draw_score_paths,
    draw_tower,
    draw_translation,
)
from toy.figures.models import LossCurves, draw_loss_over_shift

N = 5
X = torch.linspace(1.0, 2.0, N, dtype=torch.float64)
NAMES = ("first", "second", "third")


def bundle(seed):
    """Four paths, and a mean and an error of their own."""
    return Bundle(X.flip(0), series(seed, N, 4), series(seed + 1), 0.1 * series(seed + 2), 1234)


def frequencies(seed):
    """Shares of which the last is zero, each with ends of its own."""
    share = 0.1 * series(seed)
    share[-1] = 0
    return Frequencies(X + seed, share, share * 0.7, share * 1.9)


def named(seed, names=NAMES):
    """A series for each name."""
    return {name: series(seed + k) for k, name in enumerate(names)}


def test_a_bundle_is_its_paths_its_mean_with_two_errors_and_the_value_that_it_must_keep():
    of = bundle(0)
    with panels(1) as (ax,):
        draw_bundle(ax, of, 0.3, "start")
        assert drawn(ax)["start"][1].tolist() == [0.3, 0.3]
        assert shows(ax, "mean of 1,234 paths", of.times, of.mean)
        assert all(goes_through(ax, of.times, path) for path in of.shown.T)
        (band,) = ax.collections
        ends = torch.as_tensor(band.get_paths()[0].vertices)
        for t, mean, error in zip(of.times, of.mean, of.error, strict=True):
            there = ends[ends[:, 0] == t, 1]
            assert there.min().item() == pytest.approx((mean - 2 * error).item())
            assert there.max().item() == pytest.approx((mean + 2 * error).item())
        assert ax.xaxis_inverted()


def test_frequencies_above_zero_stand_within_their_intervals():
    of = frequencies(0)
    with panels(1) as (ax,):
        draw_frequencies(ax, of, "black", "o", "seen")
        eps, share, lower, upper = frequencies_of(ax, "seen")
        assert torch.equal(eps, of.eps[:-1]) and torch.equal(share, of.share[:-1])
        assert torch.allclose(lower, of.lower[:-1]) and torch.allclose(upper, of.upper[:-1])


def test_a_power_starts_at_its_value():
    with panels(1) as (ax,):
        draw_power(ax, X, 3.0, -0.5, "order 1/2")
        assert shows(ax, "order 1/2", X, 3.0 * X**-0.5)


def test_martingales_and_what_is_none_lie_beside_the_value_that_they_must_keep():
    one, other = bundle(0), bundle(10)
    with panels(1) as (ax,):
        draw_score_paths((ax,), ScorePaths(one, series(20), 0.4))
        assert drawn(ax)["$M_T(x_T)$"][1].tolist() == [0.4, 0.4]
        assert shows(ax, r"mean without the factor $\alpha_t$", one.times, series(20))
        assert are_labelled((ax,), ("reverse process", r"M_t=\alpha_t\,\nabla\log q_t(x_t)"))
    with panels(2) as (left, right):
        draw_posterior((left, right), PosteriorPaths(one, other, series(20), (0.4, 0.6)))
        time = "reverse process"
        assert are_labelled((left, right), (time, r"E[x_0\,|"), (time, r"P(k{=}1\,|"))
        assert shows(left, r"mean of $x_t/\alpha_t$", one.times, series(20))
        for ax, of, start in ((left, one, 0.4), (right, other, 0.6)):
            assert shows(ax, "mean of 1,234 paths", of.times, of.mean)
            assert drawn(ax)["value at $x_T$"][1].tolist() == [start, start]
        assert [ax.get_title() for ax in (left, right)] == [
            "Posterior mean",
            "Posterior probability",
        ]
    found = TranslationPaths(1.5, one, X, *(series(k) for k in (30, 31)), *map(frequencies, (1, 2)))
    with panels(2) as (left, right):
        draw_translation((left, right), found)
        assert are_labelled(
            (left, right), ("reverse process", "$L_t(h)$"), ("level $b$", r"P(\sup_t L_t/L_T")
        )
        assert drawn(left)["its mean, 1"][1].tolist() == [1.0, 1.0]
        assert shows(left, "mean of 1,234 paths", one.times, one.mean)
        assert left.get_title() == "Translation, $h=1.5$"
        assert shows(right, "Ville: $1/b$", X, found.bound)
        assert shows(right, "Gaussian, exact", X, found.closed_form)
        assert torch.equal(frequencies_of(right, "Gaussian, grid")[0], found.gaussian.eps[:-1])
        assert torch.equal(frequencies_of(right, "mixture, grid")[0], found.mixture.eps[:-1])


def test_residuals_lie_with_s_along_and_t_up():
    found = Residuals(X, *(0.1 * series(k, N, N) for k in range(2)))
    with panels(2) as axes:
        draw_residuals(axes, found)
        for ax, values, note in zip(
            axes, (found.martingale, found.without_alpha), (False, True), strict=True
        ):
            (image,) = ax.images
            assert torch.allclose(torch.as_tensor(image.get_array().data), values.clamp(FLOOR).T)
            assert image.origin == "lower" and image.get_extent() == [1.0, 2.0, 1.0, 2.0]
            assert (ax.get_xlabel(), ax.get_ylabel()) == ("$s$", "$t$")
            assert ("no " in ax.get_title()) == note


def test_every_order_of_the_tower_has_its_power_and_one_less():
    found = TowerResiduals(0.6, X, series(0, 3, N), series(1, 3, N))
    powers = ("", r"\alpha_t", r"\alpha_t^2", r"\alpha_t^3")
    with panels(1) as (ax,):
        draw_tower((ax,), found)
        for n in (1, 2, 3):
            name = rf"\,q_t^{{({n})}}\!/q_t$"
            assert shows(ax, f"${powers[n]}{name}", X, found.residuals[n - 1])
            assert shows(ax, f"${powers[n - 1]}{name}", X, found.power_less[n - 1])
        assert ax.get_xlabel() == "$s$, for $t=0.6$"


def test_curves_of_schedules_and_of_energy_are_of_the_quantity_of_their_panel():
    keys, symbols = ("log_snr", "alpha", "sigma"), ("lambda", "alpha", "sigma")
    curves = {name: {"share": X + k, **named(10 * k, keys)} for k, name in enumerate(NAMES)}
    with panels(3) as axes:
        draw_schedules(axes, ScheduleCurves(curves))
        titles = ("log-SNR", "signal", "noise")
        for ax, key, symbol, title in zip(axes, keys, symbols, titles, strict=True):
            assert (ax.get_title(), ax.get_ylabel()) == (title, rf"$\{symbol}_t$")
            assert all(shows(ax, name, c["share"], c[key]) for name, c in curves.items())
    keys = ("energy", "loss", "quotient")
    curves = {
        name: {"times": X + k, "at": X - k, **named(10 * k, keys)} for k, name in enumerate(NAMES)
    }
    with panels(2) as (left, right):
        draw_energy((left, right), EnergyCurves(curves))
        assert are_labelled(
            (left, right), ("time", r"$\alpha_t^2 I_t$"), ("time", r"-d(\alpha_t^2 I_t)/dt")
        )
        for (name, curve), (color, _) in zip(curves.items(), LOOKS, strict=False):
            assert shows(left, name, curve["times"], curve["energy"])
            assert goes_through(right, curve["times"], curve["loss"], color)
            assert goes_through(right, curve["at"], curve["quotient"], color)


def test_errors_of_chains_are_of_the_kind_of_their_panel():
    steps = torch.tensor([4, 8, 16, 32, 64])
    found = ChainErrors(steps, *(named(10 * k) for k in range(3)))
    kinds = {"weak: mean": found.mean, "weak: variance": found.variance, "strong": found.strong}
    with panels(3) as axes:
        draw_euler(axes, found)
        for ax, (title, errors) in zip(axes, kinds.items(), strict=True):
            assert ax.get_title() == title
            assert (r"\mathrm{Var}" in ax.get_ylabel()) == (title == "weak: variance")
            assert all(shows(ax, name, steps, error) for name, error in errors.items())
            least = min(error[0] for error in errors.values())
            assert shows(ax, "order 1", steps, least / 4 * 4.0 / steps)
    found = DriftErrors(
        steps, named(0), named(10), series(20), 2 * steps, named(30), series(40)
    )  # fmt: skip
    with panels(2) as (left, right):
        draw_drift((left, right), found)
        assert are_labelled((left, right), ("steps", "^2)^{1/2}"), ("steps", r"\mathrm{sd}\,M_s"))
        for ax, places, drifts, perturbed in (
            (left, steps, found.gaussian, found.perturbed),
            (right, 2 * steps, found.mixture, found.mixture_perturbed),
        ):
            assert all(shows(ax, name, places, drift) for name, drift in drifts.items())
            assert shows(ax, r"first, drift off by a share $\sqrt{h}$", places, perturbed)
            ratio = places[0].double() / places
            least = min(drift[0] for drift in drifts.values())
            assert torch.allclose(drawn(ax)["order 1"][1], least / 4 * ratio)
            assert torch.allclose(drawn(ax)["order 1/2"][1], 2 * perturbed[0] * ratio.sqrt())
        for name, (color, _) in zip(NAMES, LOOKS, strict=False):
            assert goes_through(left, steps, found.closed_form[name], color)


def test_tails_are_drawn_under_the_bounds_of_their_own_panel():
    doob = named(30, ("1", "2", "4", "8"))
    found = SupremumTails(
        X, series(0), series(1), frequencies(1), frequencies(2), series(2), doob, frequencies(3)
    )
    with panels(2) as (left, right):
        draw_tails((left, right), found)
        assert are_labelled(
            (left, right), (r"\sqrt{V}", r"u\cdot(M_r-M_T)"), (r"\sqrt{E|M_s|^2}", r"\sup_r|M_r|")
        )
        assert shows(left, r"$e^{-\epsilon^2/2V}$", X, found.bound)
        assert shows(left, "Gaussian, exact", X, found.exact)
        assert shows(right, "Gaussian, exact", X, found.exact_absolute)
        assert all(shows(right, f"Doob, $p={p}$", X, bound) for p, bound in doob.items())
        for ax, label, seen in (
            (left, "Gaussian, grid", found.gaussian),
            (left, "mixture, $d=8$, grid", found.mixture),
            (right, "Gaussian, grid", found.absolute),
        ):
            assert torch.equal(frequencies_of(ax, label)[0], seen.eps[:-1])
    found = MeanTails(10, X, series(0), frequencies(1), frequencies(2))
    with panels(1) as (ax,):
        draw_azuma((ax,), found)
        assert are_labelled((ax,), (r"$\epsilon$", "mean of 10"))
        assert shows(ax, r"Azuma–Hoeffding: $2e^{-2\cdot10\,\epsilon^2}$", X, found.bound)
        bounded, unbounded = (
            frequencies_of(ax, label)[0]
            for label in ("$P(k|x_t)$, in $[0,1]$", "score (unbounded: the assumption fails)")
        )
        assert torch.equal(bounded, found.probability.eps[:-1])
        assert torch.equal(unbounded, found.score.eps[:-1])


def test_means_at_stopping_times_stand_beside_their_names_by_their_kind():
    names, honest = ["a", "b", "c"], [True, False, True]
    found = StoppedMeans(names, honest, normal(0, 3), series(1, 3), 4000)
    with panels(1) as (ax,):
        draw_stopping((ax,), found)
        assert are_labelled((ax,), (r"u\cdot(E[M_\tau", ""))
        assert [tick.get_text() for tick in ax.get_yticklabels()] == names
        for label, some in (("stopping times, 99 %", [0, 2]), ("look ahead, 99 %", [1])):
            (bars,) = (c for c in ax.containers if c.get_label() == label)
            assert bars[0].get_ydata().tolist() == some
            assert bars[0].get_xdata().tolist() == found.values[some].tolist()
            ends = torch.tensor([s[:, 0].tolist() for s in bars[2][0].get_segments()]).double()
            half = torch.stack([-found.errors[some], found.errors[some]], 1)
            assert torch.allclose(ends, found.values[some][:, None] + half)
        assert "4,000 paths" in ax.get_title()


def test_refinements_losses_and_prices_are_of_the_name_that_is_told():
    steps = torch.tensor([4, 8, 16, 32, 64])
    found = Refinement(steps, named(0), {name: v[1:] for name, v in named(10).items()})
    with panels(2) as (left, right):
        draw_refinement((left, right), found)
        assert are_labelled((left, right), ("steps", "relative error"), ("steps", r"\log_2"))
        for name, (color, _) in zip(NAMES, LOOKS, strict=False):
            assert shows(left, name, steps, found.error[name])
            assert goes_through(right, steps[1:], found.order[name], color)
        least = min(error[0] for error in found.error.values())
        assert torch.allclose(drawn(left)["order 1"][1], least / steps)
    eta, least = ({n: float(v[0]) for n, v in named(k).items()} for k in (20, 30))
    found = LossCurves(X, named(0), eta, least, X - 3, named(10), series(40))
    with panels(2) as (left, right):
        draw_loss_over_shift((left, right), found)
        assert are_labelled(
            (left, right), ("shift $c$", r"y_\theta-c"), (r"c/\eta_t", "(L(c)-L(0))")
        )
        assert goes_through(right, X - 3, found.parabola, "black")
        for name, (color, _) in zip(NAMES, LOOKS, strict=False):
            assert goes_through(left, X, found.losses[name], color)
            assert goes_through(left, [eta[name]], [least[name]], color)
            assert shows(right, name, X - 3, found.falls[name])
    found = Price(X, series(50), named(0, ("3", "10")))
    with panels(1) as (ax,):
        draw_price([ax], found)
        assert are_labelled((ax,), ("images", "lower bound / mean gain"))
        assert shows(ax, "Student, asymptotic", X, found.student)
        for floor, bounds in found.betting.items():
            assert shows(ax, f"betting, floor at {floor} deviations", X, bounds)
