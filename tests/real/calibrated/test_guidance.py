"""Classifier-free guidance: exact arithmetic, each branch under its own law, no call too many."""

import pytest
import torch

from real.calibrated.guidance import Guided
from theory.calibration.network import Calibrated
from theory.calibration.procedure import calibrate
from theory.diffusion.schedules import VPLinear
from theory.diffusion.targets import NOISE
from theory.support.errors import InputError

NULL = 3


class Recorded:
    """y = label + t / 4 + x_t / 8, in numbers that add up exactly; remembers its calls."""

    def __init__(self) -> None:
        self.calls = []

    def __call__(self, x_t, t, condition):
        self.calls.append((x_t, t, condition))
        return condition[:, None] + t.reshape(-1, 1) / 4 + x_t / 8


def inputs(n=3):
    return torch.arange(2.0 * n).reshape(n, 2), torch.arange(n).float(), torch.tensor([0, 1, 2])[:n]


@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0, -1.0])
def test_guidance_is_its_formula(scale):
    x_t, t, labels = inputs()
    network = Recorded()
    conditional = network(x_t, t, labels)
    unconditional = network(x_t, t, torch.full((3,), NULL))
    expected = (1 + scale) * conditional - scale * unconditional
    assert torch.equal(Guided(network, network, NULL, scale)(x_t, t, labels), expected)
    other = Guided(network, lambda *a: network(*a), NULL, scale)
    assert torch.equal(other(x_t, t, labels), expected)
    assert scale in (0.0,) or not torch.equal(expected, conditional)


def test_one_network_is_called_once_on_twice_the_images():
    x_t, t, labels = inputs()
    network = Recorded()
    Guided(network, network, NULL, 1.0)(x_t, t, labels)
    ((seen, times, conditions),) = network.calls
    assert torch.equal(seen, torch.cat([x_t, x_t]))
    assert torch.equal(times, torch.cat([t, t]))
    assert conditions.tolist() == [0, 1, 2, NULL, NULL, NULL]


def test_two_networks_are_called_once_each():
    x_t, t, labels = inputs()
    conditional, unconditional = Recorded(), Recorded()
    Guided(conditional, unconditional, NULL, 1.0)(x_t, t, labels)
    assert [c.tolist() for *_, c in conditional.calls] == [[0, 1, 2]]
    assert [c.tolist() for *_, c in unconditional.calls] == [[NULL] * 3]


def test_a_single_time_serves_all_images():
    x_t, _, labels = inputs()
    network = Recorded()
    guided = Guided(network, network, NULL, 1.0)
    expected = guided(x_t, torch.full((3,), 2.0), labels)
    assert torch.equal(guided(x_t, torch.tensor(2.0), labels), expected)


def test_each_branch_is_calibrated_under_its_own_law():
    """Guiding calibrated branches takes (1 + w) eta_c - w eta_u off the guided prediction."""
    x_t, t, labels = inputs(2)
    network, schedule, times = Recorded(), VPLinear(), [0.2, 0.7]
    t = torch.tensor(times)
    images = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    branches = [
        Calibrated(network, calibrate(predict, schedule, target=NOISE, images=images, times=times))
        for predict in (
            lambda x_t, t: network(x_t, t, torch.ones(len(x_t))),
            lambda x_t, t: network(x_t, t, torch.full((len(x_t),), NULL)),
        )
    ]
    shifts = [branch.calibration.at(t) for branch in branches]
    assert (shifts[1] - shifts[0]).min() > 1
    got = Guided(*branches, NULL, 2.0)(x_t, t, labels)
    plain = Guided(network, network, NULL, 2.0)(x_t, t, labels)
    expected = plain - (3 * shifts[0] - 2 * shifts[1]).to(plain)
    assert torch.allclose(got, expected, atol=1e-5)


def test_texts_are_guided_by_the_empty_text():
    seen = []

    def predict(x_t, t, condition):
        seen.append(condition)
        return x_t * torch.tensor([float(len(text)) for text in condition])[:, None]

    x_t, t, _ = inputs(2)
    assert torch.equal(
        Guided(predict, predict, "", 1.0)(x_t, t, ["a", "bcd"]),
        x_t * 2 * torch.tensor([[1.0], [3.0]]),
    )
    assert seen == [["a", "bcd", "", ""]]


@pytest.mark.parametrize(
    ("null", "condition", "match"),
    [
        (NULL, None, "expected 3 labels in a tensor as conditions, got none"),
        (NULL, torch.tensor([1]), "got 1 in a Tensor"),
        (NULL, [0, 1, 2], "got 3 in a list"),
        ("", torch.tensor([0, 1, 2]), "expected 3 texts in a list"),
        ("", "abc", "got 3 in a str"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(null, condition, match):
    network = Recorded()
    x_t, t, _ = inputs()
    with pytest.raises(InputError, match=match):
        Guided(network, network, null, 1.0)(x_t, t, condition)
    assert not network.calls


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="expected a finite scale, got nan"):
        Guided(Recorded(), Recorded(), NULL, float("nan"))
    with pytest.raises(
        InputError, match="expected a network with a null condition, a label or text"
    ):
        Guided(Recorded(), Recorded(), None, 1.0)


def test_guidance_leaves_a_real_network_as_it_is_at_scale_zero(tmp_path):
    from tests.real.experiments.test_training import train_small

    train_small(tmp_path)
    from real.checkpoints import load

    checkpoint = load(tmp_path)
    x_t = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    t, labels = torch.full((4,), 500), torch.tensor([0, 1, 2, 0])
    one = Guided(checkpoint.predict, checkpoint.predict, checkpoint.null_condition, 0.0)
    expected = checkpoint.predict(x_t, t, labels)
    assert torch.allclose(one(x_t, t, labels), expected, atol=1e-6)
