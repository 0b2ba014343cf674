"""Published corrections on exact damage: each removes what it is made for, and not another's.

The full network is the exact noise prediction for Gaussian images, e = sigma x_t / (alpha^2 s^2 +
sigma^2) with s the channel's standard deviation; it is damaged by a known map.
"""

import pytest
import torch

from real.experiments import published_corrections as corrections
from theory.diffusion.schedules import VPLinear
from theory.diffusion.targets import DATA, NOISE, convert
from theory.forward.images import ImageSet
from theory.forward.network import Network
from theory.support.broadcasting import along_batch
from theory.support.errors import InputError

SCHEDULE = VPLinear()
TIMES = SCHEDULE.grid(7)
SPREAD = torch.tensor([0.5, 2.0]).reshape(2, 1, 1)
IMAGES = torch.randn(300, 2, 3, 3, generator=torch.Generator().manual_seed(0)) * SPREAD
GAIN, MEAN = 0.3, torch.tensor([0.4, -0.2]).reshape(2, 1, 1)


def full(x_t, t):
    alpha, sigma = (along_batch(v.to(x_t), x_t) for v in (SCHEDULE.alpha(t), SCHEDULE.sigma(t)))
    return sigma * x_t / (alpha**2 * SPREAD**2 + sigma**2)


def scaled(x_t, t):
    return (1 + GAIN) * full(x_t, t)


def shifted(x_t, t):
    return full(x_t, t) + MEAN


def both(x_t, t):
    return (1 + GAIN) * full(x_t, t) + MEAN


def per_channel(x_t, t):
    return torch.tensor([0.5, 1.5]).reshape(2, 1, 1) * full(x_t, t)


def measured(predict, reference=None, target=NOISE, seed=0):
    network = Network(predict, SCHEDULE, target, reference)
    return corrections.measure_channels(network, ImageSet(IMAGES, batch_size=64), TIMES, seed=seed)


def distance(predict, correction=lambda x_t, t, y: 0):
    """Root mean square between a corrected network and the full one, over all times."""
    found = []
    for t in TIMES:
        x_0, noise = (
            IMAGES[:50],
            torch.randn(50, 2, 3, 3, generator=torch.Generator().manual_seed(1)),
        )
        x_t = SCHEDULE.alpha(t).item() * x_0 + SCHEDULE.sigma(t).item() * noise
        batch = t.to(x_t).expand(50)
        y = predict(x_t, batch)
        corrected = y - correction(x_t, batch, y)
        found.append((corrected - full(x_t, batch)).square().mean())
    return torch.stack(found).mean().sqrt().item()


FITS = {
    "epsilon": lambda predict: corrections.fit_epsilon_scaling(measured(predict)),
    "scale": lambda predict: corrections.fit_timestep_aware_scale(measured(predict, full)),
    "ptqd": lambda predict: corrections.fit_mean_and_correlation(measured(predict, full)),
}


@pytest.mark.parametrize(
    ("fit", "damage"),
    [
        ("scale", scaled),
        ("scale", per_channel),
        ("ptqd", scaled),
        ("ptqd", shifted),
        ("ptqd", both),
    ],
)
def test_what_it_is_made_for_is_removed_to_rounding(fit, damage):
    assert distance(damage, FITS[fit](damage).correction) < 1e-5 < distance(damage)


@pytest.mark.parametrize(
    ("fit", "damage"), [("scale", shifted), ("scale", both), ("ptqd", per_channel)]
)
def test_what_it_is_not_made_for_remains(fit, damage):
    assert distance(damage, FITS[fit](damage).correction) > 0.05


def test_epsilon_scaling_removes_a_scale_up_to_the_noise_of_the_draws():
    assert distance(scaled, FITS["epsilon"](scaled).correction) < 0.1 * distance(scaled)
    left = distance(shifted, FITS["epsilon"](shifted).correction)
    assert left > 0.5 * distance(shifted)


def test_epsilon_scaling_is_one_number_for_all_channels():
    scale = FITS["epsilon"](per_channel).scale
    assert torch.equal(scale[:, 0], scale[:, 1])
    found = FITS["scale"](per_channel).scale
    assert torch.allclose(found, torch.tensor([2.0, 2 / 3]).double().expand_as(found))


def test_an_undamaged_network_is_left_alone():
    for fit in ("scale", "ptqd"):
        assert distance(full, FITS[fit](full).correction) < 1e-6


def test_the_full_network_costs_an_evaluation_of_its_own():
    assert measured(scaled).evaluations == len(IMAGES) * len(TIMES)
    assert measured(scaled, full).evaluations == 2 * len(IMAGES) * len(TIMES)


def as_data(predict):
    return lambda x_t, t: convert(predict(x_t, t), x_t, t, NOISE, DATA, SCHEDULE)


def test_a_network_that_predicts_data_is_corrected_in_its_noise():
    fit = corrections.fit_mean_and_correlation(measured(as_data(both), as_data(full), DATA))
    noise_fit = FITS["ptqd"](both)
    assert torch.allclose(fit.scale, noise_fit.scale, atol=1e-3)
    t = TIMES[3].float().expand(4)
    x_t = IMAGES[:4]
    expected = convert(full(x_t, t), x_t, t, NOISE, DATA, SCHEDULE)
    y = as_data(both)(x_t, t)
    assert torch.allclose(y - fit.correction(x_t, t, y), expected, atol=1e-3)


def test_between_two_times_it_is_linear_in_log_snr():
    ends = torch.tensor([[1.0], [3.0]], dtype=torch.float64)
    times = TIMES[[2, 5]]
    fit = corrections.ChannelAffine(
        Network(full, SCHEDULE, NOISE), times, ends, torch.zeros_like(ends)
    )
    middle = SCHEDULE.time_of(SCHEDULE.log_snr(times).mean()[None])
    y = torch.ones(1, 2, 3, 3)
    assert torch.allclose(fit.correction(y, middle, y), -y, atol=1e-4)
    assert torch.allclose(fit.correction(y, TIMES[:1], y), 0 * y)
    assert torch.allclose(fit.correction(y, TIMES[6:], y), -2 * y)


def test_a_single_time_is_refused():
    with pytest.raises(InputError, match="times: expected at least two, got 1"):
        corrections.measure_channels(
            Network(full, SCHEDULE, NOISE), ImageSet(IMAGES), TIMES[:1], seed=0
        )
