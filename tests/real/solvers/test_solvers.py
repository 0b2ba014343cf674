"""Every solver on every schedule: to the exact data where the network is exact, at its own order."""

import math

import pytest
import torch
from diffusers import DDPMScheduler

from real.solvers import grids
from real.solvers.by_name import NAMED as SOLVERS
from real.solvers.by_name import solver_named, solver_or_default
from real.solvers.heun import Churn, _raised
from real.solvers.sampling import evaluations_per_sample, sample
from tests.real.exact import FAMILIES, MEAN, VARIANCE, at_the_end, exact_checkpoint
from tests.refusals import refusal
from theory.diffusion.schedules import SubVP, VEGeometric
from theory.diffusion.targets import NAMED as TARGETS
from theory.support.errors import InputError

NOISE = torch.randn(600, 2, 1, 1, generator=torch.Generator().manual_seed(0)).double()
STOCHASTIC = ("ddpm", "heun-churn")
DETERMINISTIC = [name for name in SOLVERS if name not in STOCHASTIC]
FIRST, SECOND, THIRD = (0.8, 1.2), (1.7, 2.5), (2.7, 3.5)
ORDER = {
    "ddim": FIRST, "dpm-single-1": FIRST, "dpm-multi-1": FIRST, "euler": FIRST,
    "flow-euler": FIRST, "dpm-single-2": SECOND, "dpm-multi-2": SECOND, "heun": SECOND,
    "deis": SECOND, "unipc": THIRD,  # its corrector adds one
    "dpm-single-3": THIRD, "dpm-multi-3": (2.2, 3.5),  # its first steps are of lower order
}  # fmt: skip


def draw(checkpoint, solver, nfe, noise=NOISE, **more):
    return sample(checkpoint, checkpoint.predict, noise, solver=solver, nfe=nfe, **more)


def error(checkpoint, solver, nfe, noise=NOISE[:200]):
    """Root mean squared distance from where the exact flow leads."""
    plan = solver_named(solver).begin(checkpoint.schedule, nfe, {})
    expected = at_the_end(plan, checkpoint.schedule, noise)
    return (draw(checkpoint, solver, nfe, noise).images - expected).square().mean().sqrt().item()


def test_every_solver_has_its_order_stated():
    assert set(ORDER) == set(DETERMINISTIC)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_order_of_convergence(name):
    checkpoint = exact_checkpoint("edm")
    coarse, fine = (error(checkpoint, name, nfe) for nfe in (24, 96))
    used = [evaluations_per_sample(checkpoint, name, nfe) for nfe in (24, 96)]
    order = math.log(coarse / fine) / math.log(used[1] / used[0])
    least, most = ORDER[name]
    assert least < order < most


@pytest.mark.parametrize("schedule", [SubVP(), VEGeometric()], ids=["sub-vp", "ve"])
@pytest.mark.parametrize("name", ["dpm-multi-2", "heun", "flow-euler"])
def test_exact_flow_is_followed_on_score_sdes_other_schedules(schedule, name, monkeypatch):
    monkeypatch.setitem(FAMILIES, "other", (schedule, TARGETS["score"]))
    assert error(exact_checkpoint("other"), name, 60) < (0.02 if ORDER[name] == FIRST else 0.005)


def test_third_order_uses_its_curvature():
    """The solver's cheaper form of order 3 errs three times as much."""
    assert error(exact_checkpoint("edm"), "dpm-single-3", 60) < 4e-5


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_exact_flow_is_followed_on_every_schedule(family, name):
    assert error(exact_checkpoint(family), name, 60) < (0.02 if ORDER[name] == FIRST else 0.005)


def moments(checkpoint, name, nfe):
    """How far the mean of the samples is off, and the ratio of variances, per channel."""
    images = draw(checkpoint, name, nfe).images
    off = images.mean((0, 2, 3)) - MEAN[:, 0, 0]
    return off.abs(), images.var((0, 2, 3)) / VARIANCE[:, 0, 0]


@pytest.mark.parametrize("family", ["vp", "flow", "table"])
@pytest.mark.parametrize("name", sorted(STOCHASTIC))
def test_stochastic_solvers_reach_the_data_s_mean_and_variance(family, name):
    off, ratio = moments(exact_checkpoint(family), name, 150)
    sampling = 4 / math.sqrt(len(NOISE))
    assert (off < sampling * VARIANCE[:, 0, 0].sqrt() + 0.003).all()
    assert (ratio - 1).abs().max() < sampling * math.sqrt(2) + 0.25


@pytest.mark.parametrize("name", SOLVERS)
def test_a_wrong_sign_is_seen(name):
    assert (moments(exact_checkpoint("vp", sign=-1), name, 30)[1] - 1).abs().max() > 0.5


@pytest.mark.parametrize("name", sorted(STOCHASTIC))
def test_error_of_stochastic_solvers_falls(name):
    coarse, fine = ((moments(exact_checkpoint("edm"), name, nfe)[1] - 1) for nfe in (19, 120))
    assert coarse.abs().max() > 2 * fine.abs().max()


def two_points(schedule, x_t, t):
    """E[x_0 | x_t] of data that is -0.5 (3 of 10) or 0.5 in both channels."""
    odds = 2 * schedule.alpha(t) * 0.5 * x_t.sum(1, keepdim=True) / schedule.sigma(t) ** 2
    return torch.tanh(odds / 2 + math.log(0.7 / 0.3) / 2).expand_as(x_t) / 2


@pytest.mark.parametrize("name", ["dpm-multi-2", "dpm-single-3", "heun", "ddpm", "flow-euler"])
def test_both_modes_of_a_mixture_are_reached(name):
    checkpoint = exact_checkpoint("vp", denoiser=two_points)
    images = draw(checkpoint, name, 60).images
    share = (images > 0).double().mean((0, 2, 3))
    assert torch.allclose(images.abs(), torch.full_like(images, 0.5), atol=0.02)
    assert (share - 0.7).abs().max() < 4 * math.sqrt(0.21 / len(images)) + 0.01


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", SOLVERS)
def test_evaluations_are_those_that_were_made(family, name):
    for nfe in (1, 2, 5):
        check_evaluations(exact_checkpoint(family), name, nfe)


def check_evaluations(checkpoint, name, nfe):
    seen = []

    def predict(x_t, t):
        seen.append(t[0])
        return checkpoint.predict(x_t, t)

    samples = sample(checkpoint, predict, NOISE[:3], solver=name, nfe=nfe)
    assert samples.nfe == len(seen) == evaluations_per_sample(checkpoint, name, nfe)
    assert nfe - 1 <= samples.nfe <= nfe
    assert torch.isfinite(samples.images).all()
    assert samples.seconds > 0
    checkpoint.schedule.times(torch.stack(seen).unique())
    assert all(t.is_floating_point() == (checkpoint.reference != "table") for t in seen)


def test_ancestral_steps_are_ddpms():
    checkpoint, noise = exact_checkpoint("table"), NOISE[:50]
    plan = solver_named("ddpm").begin(checkpoint.schedule, 10, {})
    reference = DDPMScheduler(prediction_type="sample", clip_sample=False)
    reference.set_timesteps(10)
    assert plan.times.tolist() == reference.timesteps.tolist()
    x_0, fresh = noise.flip(0) / 3, torch.Generator().manual_seed(1)
    for i, t in enumerate(reference.timesteps[:-1]):
        drawn = torch.randn(noise.shape, generator=fresh, dtype=noise.dtype)
        again = torch.Generator().manual_seed(1)
        for _ in range(i):
            torch.randn(noise.shape, generator=again, dtype=noise.dtype)
        expected = reference.step(x_0, t, noise, generator=again).prev_sample
        ours = plan.step(i, x_0, noise, lambda drawn=drawn: drawn)
        assert torch.allclose(ours, expected, atol=1e-4)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_added_noise_belongs_to_the_sample_and_the_seed(name):
    checkpoint, noise = exact_checkpoint("vp"), NOISE[:7]
    whole = draw(checkpoint, name, 9, noise).images
    assert torch.allclose(draw(checkpoint, name, 9, noise, batch_size=3).images, whole)
    assert not torch.allclose(draw(checkpoint, name, 9, noise, seed=1).images, whole)


def test_churn_raises_the_noise_by_its_share():
    """Between its levels by 1 + strength / steps, at most sqrt(2); outside not at all."""
    edm = FAMILIES["edm"][0]
    times = torch.tensor([79.0, 40.0, 1.0, 0.1, 0.01], dtype=torch.float64)
    for strength, factor in ((0.5, 1.1), (40.0, math.sqrt(2))):
        raised = _raised(edm, times, Churn(strength))
        expected = times * torch.tensor([1, factor, factor, factor, 1]).double()
        torch.testing.assert_close(raised, expected)


def test_times_of_a_table_are_whole_and_all_different():
    schedule = FAMILIES["table"][0]
    for make in (grids.evenly_in_log_snr, grids.karras):
        for n in (1, 2, 7, 100, 1000):
            times = make(schedule, n)
            assert times.dtype == torch.int64
            assert times.diff().lt(0).all()
            assert len(times) == n
            assert times.min() >= 0
            assert times.max() <= 999
    with pytest.raises(InputError, match="at most 1000 steps"):
        grids.karras(schedule, 1001)
    for spacing in ("leading", "trailing", "linspace"):
        with refusal("expected at most 1000 steps, as many as the table, got 1001", spacing):
            grids.as_trained(schedule, 1001, {"timestep_spacing": spacing})


def test_the_table_s_last_alpha_is_kept_where_it_was_trained_so():
    """Without ``set_alpha_to_one`` DDIM ends at the table's first time and not at the data."""
    schedule, x_0, x = FAMILIES["table"][0], NOISE[:2] / 3, NOISE[2:4]
    ends = {}
    for to_data in (True, False):
        plan = solver_named("ddim").begin(schedule, 4, {"set_alpha_to_one": to_data})
        ends[to_data] = plan.step(3, x_0, x, lambda: x)
    assert torch.allclose(ends[True], x_0)
    assert torch.allclose(ends[False], x)  # from its first time to that same time


def test_the_networks_own_spacing_is_kept():
    schedule = FAMILIES["table"][0]

    def times(**hints):
        return grids.as_trained(schedule, 4, hints).tolist()

    assert times() == [750, 500, 250, 0]
    assert times(steps_offset=1) == [751, 501, 251, 1]
    assert times(timestep_spacing="trailing") == [999, 749, 499, 249]
    assert times(timestep_spacing="linspace") == [999, 666, 333, 0]
    with pytest.raises(InputError, match="timestep_spacing"):
        times(timestep_spacing="random")


def test_shift_of_flow_moves_times_to_more_noise():
    schedule = FAMILIES["flow"][0]
    plain, shifted = (grids.evenly_in_flow(schedule, 4, shift) for shift in (1.0, 3.0))
    assert plain.tolist() == pytest.approx([1.0, 0.75, 0.5, 0.25])
    assert shifted.tolist() == pytest.approx([1.0, 0.9, 0.75, 0.5])


def test_times_are_those_of_their_formulas():
    """EDM's own, from 80 to 0.002 with rho = 7, and three that are even in log-SNR."""
    edm = FAMILIES["edm"][0]
    root = torch.linspace(80 ** (1 / 7), 0.002 ** (1 / 7), 5, dtype=torch.float64)
    assert torch.allclose(grids.karras(edm, 5), root**7, rtol=1e-9)
    log_snr = edm.log_snr(grids.evenly_in_log_snr(edm, 3))
    ends = [-2 * math.log(80.0), -2 * math.log(0.002)]
    assert log_snr.tolist() == pytest.approx([ends[0], sum(ends) / 2, ends[1]])


def test_unless_asked_otherwise_schedules_have_their_usual_solver():
    usual = {name: solver_or_default(None, schedule) for name, (schedule, _) in FAMILIES.items()}
    assert usual == {
        "vp": "ddim", "cosine": "ddim", "table": "ddim", "edm": "heun", "flow": "flow-euler",
    }  # fmt: skip
    assert solver_or_default("euler", FAMILIES["edm"][0]) == "euler"
    with pytest.raises(InputError, match="solver: expected one of"):
        solver_or_default("magic", FAMILIES["edm"][0])
