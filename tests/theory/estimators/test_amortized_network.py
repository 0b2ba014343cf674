"""The amortized network: learns a curve, averages noise over times, and takes only what it can."""

import pytest
import torch

from theory.estimators.amortized_network import FREQUENCIES, HIDDEN, _network, fit_network
from theory.support.errors import InputError

LOG_SNR = torch.linspace(-8, 8, 40, dtype=torch.float64)
CURVE = torch.stack([torch.sigmoid(-LOG_SNR), torch.cos(LOG_SNR / 4)], 1).reshape(40, 1, 2)
NOISE = torch.randn(
    40, 1, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64
)  # fmt: skip


def error(estimates, error_energy, at=LOG_SNR, truth=CURVE, seed=0):
    h = fit_network(LOG_SNR, estimates, error_energy, seed)
    return (h(at) - truth).square().sum((1, 2)).mean().item()


def test_a_smooth_curve_is_learnt_between_its_times_too():
    ones = torch.ones(40, dtype=torch.float64)
    middle = (LOG_SNR[1:] + LOG_SNR[:-1]) / 2
    truth = torch.stack([torch.sigmoid(-middle), torch.cos(middle / 4)], 1).reshape(-1, 1, 2)
    assert error(CURVE, ones) < 1e-3
    assert error(CURVE, ones, middle, truth) < 1e-3


def test_noise_is_averaged_over_times():
    energies = torch.full((40,), 2 * 0.2**2, dtype=torch.float64)
    assert error(CURVE + 0.2 * NOISE, energies) < 2 * 0.2**2 / 2


def test_precise_times_count_more():
    energies = torch.where(torch.arange(40) % 2 == 0, 1e-4, 1.0).double()
    noisy = CURVE + energies.sqrt()[:, None, None] * NOISE
    assert error(noisy, energies) < error(noisy, torch.ones(40, dtype=torch.float64)) / 2


def test_the_seed_is_the_only_randomness():
    ones = torch.ones(40, dtype=torch.float64)
    first = error(CURVE + NOISE, ones)
    assert error(CURVE + NOISE, ones) == first
    assert error(CURVE + NOISE, ones, seed=1) != first


def test_layers_begin_without_bias_and_keep_the_size_of_what_comes_in():
    layers = [layer for layer in _network(500, 0) if isinstance(layer, torch.nn.Linear)]
    assert [layer.in_features for layer in layers] == [1 + 2 * FREQUENCIES, HIDDEN, HIDDEN]
    for layer in layers:
        assert not layer.bias.any()
        size = layer.weight.square().mean().item() * layer.in_features
        assert size == pytest.approx(1, abs=5 * (2 / layer.weight.numel()) ** 0.5)


@pytest.mark.parametrize("log_snr", [[1.0, float("inf")], [1.0, 1.0]])
def test_what_cannot_be_spanned_is_refused(log_snr):
    with pytest.raises(InputError, match="at least two finite"):
        fit_network(torch.tensor(log_snr).double(), CURVE[:2], torch.ones(2).double(), 0)
    with pytest.raises(InputError, match="positive"):
        fit_network(LOG_SNR, CURVE, torch.zeros(40).double(), 0)
