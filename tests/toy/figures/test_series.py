"""Every curve of a figure is the series that its label names, on the panel that its title names."""

import pytest
import torch

from tests.toy.figures.panels import are_labelled, panels, series, shows
from toy.figures.calibrated_likelihood import (
    TERM_LOOKS,
    ChangesOfModels,
    LikelihoodChanges,
    draw_changes,
)
from toy.figures.fitted_solvers import EVALUATIONS, FewSteps, draw_few_steps
from toy.figures.likelihood_bounds import DivergenceFamilies, Divergences, draw_divergences
from toy.figures.models import GUIDED_LOOKS, GuidedPredictions, RecoveredBias, draw_guidance
from toy.figures.models import draw_recovery as draw_recovered
from toy.figures.orders import ORDER_LOOKS, OrderLosses, draw_orders

N = 5
X = torch.linspace(1.0, 2.0, N, dtype=torch.float64)


def test_divergences_lie_under_the_bounds_of_their_own():
    by_bias, by_slope = (
        Divergences(X + k, *(series(4 * k + j) for j in range(4))) for k in range(2)
    )
    with panels(2) as axes:
        draw_divergences(axes, DivergenceFamilies(by_bias, by_slope))
        for ax, found in zip(axes, (by_bias, by_slope), strict=True):
            assert shows(ax, "SDE bound", found.parameter, found.sde_bound)
            assert shows(ax, "KL, SDE", found.parameter, found.sde)
            assert shows(ax, "ODE bound", found.parameter, found.ode_bound)
            assert shows(ax, "KL, ODE", found.parameter, found.ode)
        assert ["bias" in ax.get_xlabel() for ax in axes] == [True, False]


def test_changes_are_of_the_family_and_the_term_that_are_named():
    families = [
        LikelihoodChanges(
            0.0, X + k, {name: series(10 * k + j) for j, name in enumerate(TERM_LOOKS)}
        )
        for k in range(3)
    ]
    with panels(3) as axes:
        draw_changes(axes, ChangesOfModels(*families))
        for ax, found, title in zip(
            axes, families, ("Exact prior", "Signal", "slope"), strict=True
        ):
            assert title in ax.get_title()
            for name, (*_, label) in TERM_LOOKS.items():
                assert shows(ax, label, found.bias, found.change[name])


def test_both_distances_are_on_their_own_panels():
    names, places = ("DDIM", "fitted"), torch.tensor(EVALUATIONS).double()
    flow, data = ({name: series(10 * k + j) for j, name in enumerate(names)} for k in range(2))
    with panels(2) as axes:
        draw_few_steps(axes, FewSteps(places, flow, data))
        for ax, curves, what in zip(axes, (flow, data), ("flow", "data"), strict=True):
            assert ax.get_ylabel() == f"distance to the {what}"
            assert all(shows(ax, name, places, curves[name]) for name in names)


def test_errors_are_of_the_estimator_that_is_named():
    found = RecoveredBias(
        X, series(0), series(1, N, 3).sort(1).values[:, [1, 0, 2]], series(2), series(3)
    )
    with panels(2) as axes:
        draw_recovered(axes, found)
        assert are_labelled(axes, ("time", r"$|\eta_t|^2$"), ("time", r"\hat\eta_t-\eta_t"))
        left, right = axes
        assert shows(left, "planted", X, found.planted)
        assert shows(right, "plain average", X, found.plain_error)
        assert shows(right, "this toolkit", X, found.error)
        (bars,) = left.containers
        value, lower, upper = found.recovered.T
        ends = torch.tensor([s[:, 1].tolist() for s in bars[2][0].get_segments()]).double()
        assert torch.equal(torch.as_tensor(bars[0].get_ydata()), value)
        assert torch.allclose(ends, torch.stack([lower, upper], 1))


def test_losses_are_of_the_order_that_is_named():
    excess = {name: series(k) for k, name in enumerate(ORDER_LOOKS)}
    found = OrderLosses(10, X, series(9), excess)
    with panels(2) as (left, right):
        draw_orders((left, right), found)
        assert are_labelled((left, right), ("SNR", r"e_\theta-e|"), ("SNR", r"e_\theta-E[e|x_t]"))
        assert shows(left, "exact", X, found.least)
        for name, (color, _, label) in ORDER_LOOKS.items():
            assert shows(left, label, X, found.least + excess[name])
            (line,) = (line for line in right.get_lines() if line.get_color() == color)
            assert torch.equal(torch.as_tensor(line.get_ydata()), excess[name])


def test_guided_predictions_and_their_errors_are_of_the_way_that_is_named():
    predictions = {name: series(k) for k, name in enumerate(GUIDED_LOOKS)}
    errors = {name: series(10 + k) for k, name in enumerate(GUIDED_LOOKS) if name != "exact"}
    found = GuidedPredictions(3.0, X, series(20), predictions, X + 5, errors)
    with panels(2) as (left, right):
        draw_guidance((left, right), found)
        assert are_labelled(
            (left, right), ("x_t", "prediction"), ("scale $w$", "root mean square error")
        )
        low, high = left.get_ylim()
        (band,) = left.collections
        top = {x: y for x, y in band.get_paths()[0].vertices.tolist() if y > low}
        share = found.density / found.density.max()
        expected = dict(zip(X.tolist(), (low + 0.2 * (high - low) * share).tolist(), strict=True))
        assert top == pytest.approx(expected)
        assert left.get_title() == "Guidance scale 3"
        for name, (color, style, label) in GUIDED_LOOKS.items():
            assert shows(left, label, X, predictions[name])
            of_name = [
                line for line in right.get_lines()
                if (line.get_color(), line.get_linestyle()) == (color, style)
            ]  # fmt: skip
            assert len(of_name) == (name in errors)
            for line in of_name:
                assert torch.equal(torch.as_tensor(line.get_ydata()), errors[name])
                assert torch.equal(torch.as_tensor(line.get_xdata()), X + 5)
