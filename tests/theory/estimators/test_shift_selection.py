"""From moments to what is applied: policies, smoothing, certificates."""

import math
from dataclasses import replace

import pytest
import torch

from tests.draws import normal
from theory.estimators import shift_selection
from theory.estimators.shift_selection import _error_of_mean, _ShiftTried, select_shift
from theory.forward.forward_pass import GROUPS
from theory.statistics.image_bases import by_dct_octave, undivided
from theory.statistics.moments import Moments
from theory.statistics.shrinkage import CERTIFIED, SHRUNK, UNSHRUNK, james_stein

TIMES, N, DIMENSION = 12, 160, 20
LOG_SNR = torch.linspace(-6, 6, TIMES, dtype=torch.float64)
CURVE = torch.outer(torch.sigmoid(-LOG_SNR), torch.ones(DIMENSION, dtype=torch.float64))


def curve_moments(eta, seed=0, n=N):
    result = []
    for mean, noise in zip(eta, normal(seed, len(eta), n, DIMENSION), strict=True):
        moments = Moments.empty((DIMENSION,), GROUPS)
        moments.add_(torch.arange(n) % GROUPS, mean + noise)
        result.append(moments)
    return result


def decided(eta, policy, seed=0, n=N):
    return select_shift(curve_moments(eta, seed, n), LOG_SNR, torch.ones(TIMES).double(), policy)


def error(decision, eta):
    shift = decision.weights[:, None] * decision.estimate
    return (shift - eta).square().sum().item()


def test_published_is_the_mean_itself():
    decision = decided(CURVE, UNSHRUNK)
    means = torch.stack([m.mean for m in curve_moments(CURVE)])
    assert torch.allclose(decision.estimate, means)
    assert decision.weights.tolist() == [1.0] * TIMES
    assert not torch.allclose(decided(CURVE, SHRUNK).estimate, means)


@pytest.mark.parametrize("seed", range(3))
def test_smoothing_and_shrinking_lower_the_error(seed):
    assert (
        error(decided(CURVE, SHRUNK, seed), CURVE)
        < error(decided(CURVE, UNSHRUNK, seed), CURVE) / 2
    )


def test_a_curve_that_jumps_is_not_smoothed_away():
    jumping = CURVE * torch.tensor([1.0, -1.0]).repeat(TIMES // 2)[:, None]
    assert error(decided(jumping, SHRUNK), jumping) < 1.2 * error(
        decided(jumping, UNSHRUNK), jumping
    )


def test_certified_applies_what_is_certain_and_only_that():
    decision, shrunk = decided(CURVE, CERTIFIED), decided(CURVE, SHRUNK)
    certain = decision.certificates > 0
    assert certain[0]
    assert not certain[-1]
    assert torch.equal(decision.weights > 0, certain)
    assert torch.equal(decision.weights[certain], shrunk.weights[certain])
    assert (shrunk.weights[~certain] > 0).any()


def test_certificates_lie_below_the_gain():
    decision = decided(CURVE, SHRUNK)
    shift = decision.weights[:, None] * decision.estimate
    gain = (2 * shift * CURVE - shift**2).sum(1)
    assert (decision.certificates <= gain).all()
    assert (decision.certificates > gain / 3)[:4].all()


@pytest.mark.parametrize("n", [2, 3])
def test_few_images_give_few_certainties(n):
    decision = decided(CURVE, CERTIFIED, n=n)
    assert decision.estimate.isfinite().all()
    assert (decision.certificates < 0).any()
    if n == 2:
        assert (decision.certificates == -math.inf).all()
        assert (decision.weights == 0).all()


def test_certificates_see_what_smoothing_distorts(monkeypatch):
    """One time has a mean; averaged over all times it is a harm to every other."""
    monkeypatch.setattr(
        "theory.estimators.shift_selection.smoothers",
        lambda *_: [torch.full((TIMES, TIMES), 1 / TIMES).double()],
    )
    spike = torch.zeros(TIMES, DIMENSION, dtype=torch.float64)
    spike[3] = 2.0
    decision = decided(spike, SHRUNK)
    others = torch.arange(TIMES) != 3
    assert (decision.weights > 0.5).all()
    assert (decision.certificates[others] < 0).all()
    assert decision.certificates[3] > 0


def test_expected_gains_are_those_of_left_out_images():
    decision = decided(CURVE, SHRUNK)
    gain = (2 * decision.shift * CURVE - decision.shift**2).sum(1)
    assert (decision.gains.mean(0) - gain).abs().max() < 0.4 * gain.max()
    assert (decision.certificates <= decision.gains.mean(0)).all()


def test_the_shift_is_weight_times_estimate_where_there_is_one_band():
    decision = decided(CURVE, CERTIFIED)
    assert decision.bands == 1
    assert torch.allclose(decision.shift, decision.weights[:, None] * decision.estimate)


def of_image(eta, n=160):
    """What is decided of one time, from images whose units are eta plus noise."""
    moments = Moments.empty(tuple(eta.shape), GROUPS)
    moments.add_(torch.arange(n) % GROUPS, eta + normal(2, n, *eta.shape))
    one = torch.ones(1, dtype=torch.float64)
    return select_shift([moments], 0 * one, one, SHRUNK)


def test_a_smooth_shift_is_shrunk_by_bands_and_a_rough_one_as_a_whole():
    tint = torch.full((1, 8, 8), 0.3, dtype=torch.float64)
    by_bands = of_image(tint)
    assert by_bands.bands > 1
    error = (by_bands.shift[0] - tint).square().sum()
    as_a_whole = by_bands.estimate[0] * (1 - 64 / 160 / by_bands.estimate[0].square().sum())
    assert error < (as_a_whole - tint).square().sum() / 4
    rough = 0.3 * normal(5, 1, 8, 8)
    assert (of_image(rough).shift[0] - rough).square().sum() < 64 / 160


def test_an_error_that_all_units_share_is_taken_off_the_gain():
    """It is in the shift and in what the shift is tried on: 2 E|error|^2 of every gain is its own."""
    moments = curve_moments(CURVE)
    importance = torch.ones(TIMES).double()
    alone = select_shift(moments, LOG_SNR, importance, UNSHRUNK)
    shared = [replace(m, common_error=0.05) for m in moments]
    found = select_shift(shared, LOG_SNR, importance, UNSHRUNK)
    assert torch.allclose(found.gains, alone.gains - 0.1)


def test_the_error_of_a_mean_by_hand():
    """Of 1 and 3, whose mean is 2: a variance of 2, and half of it for the mean of both."""
    found = _error_of_mean(torch.tensor(10.0).double(), torch.tensor(4.0).double(), 2)
    assert found.item() == pytest.approx(1)


def test_how_many_groups_are_left_out_at_once_does_not_matter(monkeypatch):
    whole = decided(CURVE, SHRUNK)
    monkeypatch.setattr(shift_selection, "AT_ONCE", 1)
    apart = decided(CURVE, SHRUNK)
    assert torch.allclose(whole.gains, apart.gains, rtol=1e-12)
    assert torch.allclose(whole.shift, apart.shift, rtol=1e-12)


def tried(cells, common):
    """A way that smooths nothing and shrinks by James and Stein."""
    times = len(common)
    return _ShiftTried(0.0, torch.eye(times).double(), cells, SHRUNK, torch.tensor(common).double())


def test_an_error_that_all_share_is_shared_out_by_the_size_of_a_cell():
    """Of 16 coordinates one is the mean and 3 are of the first octave: a sixteenth, and so on."""
    cells = by_dct_octave((1, 4, 4))
    estimate = 2 + normal(3, 1, 16).abs()
    errors = torch.full((1, cells.count), 0.5, dtype=torch.float64)
    found = tried(cells, [3.2]).weights(estimate, errors)
    expected = james_stein(cells.energies(estimate), errors + 3.2 * cells.sizes / 16)
    assert torch.allclose(found, expected)
    assert (found[0] > 0).all()


def test_a_left_out_gain_by_hand():
    """Four groups: each is tried on the mean of the three others, shrunk by their spread alone."""
    groups = torch.tensor([[2.0, 1.0], [3.0, 2.0], [4.0, 0.0], [2.5, 1.5]]).double()[:, None]
    found = tried(undivided((2,)), [0.0]).gains(groups)
    for g in range(4):
        others = groups[torch.arange(4) != g, 0]
        mean, spread = others.mean(0), others.var(0).sum() / 3
        shift = (1 - spread / mean.square().sum()) * mean
        expected = (2 * shift * groups[g, 0] - shift**2).sum()
        assert found[g, 0].item() == pytest.approx(expected.item())


def test_smoothing_is_chosen_for_what_a_gain_is_worth():
    """Half of the times lie on a smooth curve, half of them jump to and fro."""
    jumps = 0.5 * torch.ones(TIMES // 2).double() * torch.tensor([1.0, -1.0]).repeat(TIMES // 4)
    level = torch.cat([torch.full((TIMES // 2,), 0.1, dtype=torch.float64), jumps])
    moments = curve_moments(torch.outer(level, torch.ones(DIMENSION, dtype=torch.float64)))
    smooth = (torch.arange(TIMES) < TIMES // 2 - 1).double()
    for_smooth, for_jumps = (
        select_shift(moments, LOG_SNR, worth + 1e-6, SHRUNK).smoothing
        for worth in (smooth, 1 - smooth)
    )
    assert for_smooth > for_jumps
