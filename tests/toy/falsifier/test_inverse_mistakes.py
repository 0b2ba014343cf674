"""A wrong inverse is told by the log-SNR that it does invert."""

import math

import pytest
import torch
from scipy.optimize import brentq

from theory.diffusion.schedules import RectifiedFlow
from toy.falsifier.inverse_mistakes import inverse_mistakes

SCHEDULE, TIMES = RectifiedFlow(0.01, 0.99), torch.linspace(0.2, 0.8, 12, dtype=torch.float64)
INVERTED = {
    "sqrt(alpha) and sigma": lambda a, s: (math.sqrt(a), s),
    "alpha and sqrt(sigma)": lambda a, s: (a, math.sqrt(s)),
    "sqrt(1 - sigma^2) and sigma": lambda a, s: (math.sqrt(1 - s**2), s),
    "alpha and sqrt(1 - alpha^2)": lambda a, s: (a, math.sqrt(1 - a**2)),
}


@pytest.mark.parametrize("of", INVERTED)
def test_the_scales_whose_log_snr_is_inverted_are_told(of):
    def off(u, log_snr):
        alpha, sigma = INVERTED[of](1 - u, u)
        return 2 * math.log(alpha / sigma) - log_snr

    log_snr = SCHEDULE.log_snr(TIMES)
    u = [brentq(off, 1e-9, 1 - 1e-9, (value,), xtol=1e-15) for value in log_snr.tolist()]
    u = torch.tensor(u, dtype=torch.float64)
    found = inverse_mistakes(SCHEDULE, TIMES, u)
    (name,) = (name for name, values in found.items() if values.isfinite().all())
    assert f"inverts the log-SNR of {of}" in name
    assert torch.allclose(found[name], SCHEDULE.log_snr(u))


def test_times_the_other_way_round_are_told():
    found = inverse_mistakes(SCHEDULE, TIMES, 1 - TIMES)
    assert found["time_of gives t_min + t_max - t"].isfinite().all()
