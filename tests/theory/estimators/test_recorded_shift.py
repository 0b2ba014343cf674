"""The recorded shift: forgets as it is told, knows its own error, goes on from its state."""

import pytest
import torch

from tests.draws import normal
from theory.estimators.recorded_shift import ShiftRecorder
from theory.support.errors import InputError

LOW, HIGH = -6.0, 6.0
PLACES = torch.linspace(LOW, HIGH, 7, dtype=torch.float64)


def eta(log_snr):
    """A polynomial in log-SNR for each of (1, 2) pixels."""
    share = log_snr.double() / HIGH
    return torch.stack([1 + share, share**2 - 0.5], 1)[:, None]


def draw(generator, n=32):
    """Log-SNRs, and errors whose noise is the larger the higher it is."""
    log_snr = torch.rand(n, generator=generator) * (HIGH - LOW) + LOW
    noise = torch.randn(n, 1, 2, generator=generator) * (0.2 + (log_snr[:, None, None] > 0))
    return log_snr, (eta(log_snr) + noise).float()


def recorded(seed, kept=0.9, batches=100):
    generator = torch.Generator().manual_seed(seed)
    recorder = ShiftRecorder(LOW, HIGH, (1, 2), degree=2)
    for step in range(batches):
        recorder.observe(*draw(generator), kept=min(kept, step / (step + 1)))
    return recorder


def test_its_error_is_what_it_says():
    """200 runs: the mean squared error at each place, of the energy stated, four of its errors wide."""
    runs = [recorded(seed) for seed in range(200)]
    squared = torch.stack([(r.shift(PLACES) - eta(PLACES)).square().sum((1, 2)) for r in runs])
    stated = torch.stack([r.error_energy(PLACES) for r in runs]).mean(0)
    slack = 4 * squared.std(0) / len(runs) ** 0.5
    assert (squared.mean(0) <= stated + slack).all()  # the mean of one draw's error counts as noise
    signal = eta(PLACES).square().sum((1, 2))
    noise = 2 * torch.where(PLACES > 0, 1.2, 0.2) ** 2
    assert (squared.mean(0) >= stated * (noise / (noise + 1.5 * signal.max())) - slack).all()


def test_what_is_forgotten_has_no_part():
    """After a batch that keeps nothing, all before is gone; where nothing is forgotten, all counts."""
    generator = torch.Generator().manual_seed(0)
    recorder, fresh = recorded(1), ShiftRecorder(LOW, HIGH, (1, 2), degree=2)
    log_snr, errors = draw(generator)
    recorder.observe(log_snr, errors, kept=0.0)
    fresh.observe(log_snr, errors, kept=0.5)
    torch.testing.assert_close(recorder.shift(PLACES), fresh.shift(PLACES))
    even = recorded(2, kept=1.0, batches=400)
    assert (
        even.error_energy(PLACES).mean() < recorded(2, batches=400).error_energy(PLACES).mean() / 10
    )


def test_a_batch_counts_as_one_however_large():
    at, recorder = torch.zeros(1), ShiftRecorder(LOW, HIGH, (1, 1), degree=0)
    recorder.observe(at, torch.ones(1, 1, 1), kept=0.0)
    recorder.observe(at.expand(10), 3 * torch.ones(10, 1, 1), kept=0.25)
    torch.testing.assert_close(recorder.shift(at).item(), 0.25 + 0.75 * 3)


def test_the_error_of_a_constant_is_the_energy_of_all_pixels_over_the_draws():
    """After two batches of one weight: their mean squared errors, each over its draws, half and half."""
    recorder, first, second = ShiftRecorder(LOW, HIGH, (2, 3), degree=0), *normal(0, 2, 5, 2, 3)
    for kept, errors in ((0.0, first), (0.5, second[:3])):
        recorder.observe(torch.zeros(len(errors)), errors, kept=kept)
    energies = [r.square().sum().item() / len(r) ** 2 for r in (first, second[:3])]
    assert recorder.error_energy(PLACES[:1]).item() == pytest.approx(sum(energies) / 4)


def test_it_goes_on_from_its_state():
    generator = torch.Generator().manual_seed(0)
    one, other = recorded(3), ShiftRecorder(LOW, HIGH, (1, 2), degree=2)
    other.restore({name: value.clone() for name, value in one.state().items()})
    batch = draw(generator)
    for recorder in (one, other):
        recorder.observe(*batch, kept=0.9)
    assert torch.equal(one.shift(PLACES), other.shift(PLACES))
    assert torch.equal(one.error_energy(PLACES), other.error_energy(PLACES))


def test_fewer_times_than_functions_do():
    """At the start of a training a batch may hold few distinct times."""
    recorder = ShiftRecorder(LOW, HIGH, (1, 2), degree=8)
    at = torch.tensor([-1.0, 1.0, 2.0])
    recorder.observe(at, eta(at).float(), kept=0.0)
    torch.testing.assert_close(recorder.shift(at), eta(at), atol=1e-6, rtol=0)


@pytest.mark.parametrize("ends", [(1.0, 1.0), (2.0, 1.0), (-torch.inf, 1.0), (0.0, torch.nan)])
def test_ends_are_finite_and_apart(ends):
    with pytest.raises(InputError, match="expected two finite ends"):
        ShiftRecorder(*ends, (1, 2))
