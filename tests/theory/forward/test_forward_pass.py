"""The forward pass over noised images."""

import pytest
import torch

from tests.refusals import refusal
from theory.diffusion.schedules import VPLinear
from theory.diffusion.targets import NOISE, VELOCITY
from theory.forward.forward_pass import GROUPS, Observation, observe
from theory.forward.images import ImageSet
from theory.forward.keyed_noise import Draws
from theory.forward.network import Network

TIMES = torch.tensor([0.2, 0.7], dtype=torch.float64)
IMAGES = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).double()


def seen_by(predict, **options):
    """Observations of a velocity network in batches of 7, two draws each, a list per time."""
    images = ImageSet(IMAGES, batch_size=7)
    network = Network(predict, VPLinear(), VELOCITY, options.pop("reference", None))
    found = [[], []]
    for seen in observe(network, images, TIMES, Draws(0, "test", 2), **options):
        found[seen.time_index].append(seen)
    return found


def test_no_gradients_are_recorded_of_a_network_that_is_still_in_training():
    weight = torch.ones((), requires_grad=True)
    network = Network(lambda x_t, t: weight * x_t, VPLinear(), NOISE)
    images = ImageSet(torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3))
    (seen,) = observe(network, images, torch.tensor([0.5]), Draws(0, "test"))
    assert not seen.prediction.requires_grad


def test_the_network_is_shown_images_noised_as_at_its_time():
    """It returns x_t, which is alpha_t x_0 + sigma_t e for the noise that is told."""
    for k, batches in enumerate(seen_by(lambda x_t, t: x_t)):
        t = TIMES[k]
        alpha, sigma = VPLinear().alpha(t), VPLinear().sigma(t)
        assert torch.equal(torch.cat([seen.x_0 for seen in batches]), IMAGES)
        for seen in batches:
            assert torch.allclose(seen.prediction, alpha * seen.x_0 + sigma * seen.noise)
            assert torch.allclose(seen.x_t, seen.prediction)
            assert torch.equal(seen.noise[0], -seen.noise[1])


@pytest.mark.parametrize("wrong", [0.2, 0.7])
def test_a_prediction_that_is_no_number_is_told_with_its_time(wrong):
    with refusal(f"network: NaN or infinity in the prediction at t={wrong}"):
        seen_by(lambda x_t, t: x_t / (t[:, None] != wrong))


def test_the_error_of_an_exact_network_is_none():
    """A network that knows image and noise: velocity alpha e - sigma x_0 of x_t = alpha x_0 + sigma e."""
    known = {}

    def remembering(x_t, t):
        known[len(known)] = x_t
        return torch.zeros_like(x_t)

    for k, batches in enumerate(seen_by(remembering)):
        alpha, sigma = VPLinear().alpha(TIMES[k]), VPLinear().sigma(TIMES[k])
        for seen in batches:
            target = alpha * seen.noise - sigma * seen.x_0
            assert torch.allclose(seen.error, -target)
            assert torch.equal(seen.residual, seen.error)


def test_the_residual_is_held_against_the_reference():
    batches = seen_by(lambda x_t, t: 3 * x_t, reference=lambda x_t, t: x_t)
    for seen in (seen for of_time in batches for seen in of_time):
        assert torch.allclose(seen.residual, 2 * seen.x_t)


def test_images_are_dealt_to_groups_in_turn_unless_told():
    for batches in seen_by(lambda x_t, t: x_t):
        assert torch.cat([s.group for s in batches]).tolist() == [i % GROUPS for i in range(20)]
    own = torch.arange(20) // 5
    for batches in seen_by(lambda x_t, t: x_t, group=own):
        assert torch.equal(torch.cat([s.group for s in batches]), own)
        members = torch.cat([s.members() for s in batches], 1)
        assert torch.equal(members.argmax(0), own)


def test_each_time_has_its_own_members():
    members = torch.zeros(2, 20, dtype=torch.bool)
    members[0, :8], members[1, 5:17] = True, True
    first, second = seen_by(lambda x_t, t: x_t, members=members)
    assert torch.equal(torch.cat([s.x_0 for s in first]), IMAGES[:8])
    assert torch.equal(torch.cat([s.x_0 for s in second]), IMAGES[5:17])


@pytest.mark.parametrize(("draws", "tells"), [(1, False), (2, False), (4, True), (6, False)])
def test_noise_is_told_where_both_halves_are_whole_pairs(draws, tells):
    y = torch.arange(draws * 6, dtype=torch.float64).reshape(draws, 2, 3) ** 2
    seen = Observation(0, torch.zeros(2).long(), y[0], y, y, 0.0, 1.0, 0.0, 1.0)
    assert seen.tells_noise is tells
    if tells:
        expected = (y[0] + y[1] - y[2] - y[3]) / 4
        assert torch.allclose(seen.contrast(y), expected)


def test_the_first_draw_is_held_against_the_reference_of_its_own():
    for batches in seen_by(lambda x_t, t: x_t, reference=lambda x_t, t: 0.5 * x_t + x_t**2):
        for seen in batches:
            first = seen.first(1)
            assert torch.equal(first.residual, seen.residual[:1])
            assert torch.equal(first.error, seen.error[:1])
            assert not torch.equal(seen.residual[1], seen.residual[0])
