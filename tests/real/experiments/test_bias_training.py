"""Re-trained biases: nothing else changes, and the loss falls."""

import torch

from real.calibrated.conditions import ConditionedImages
from real.checkpoints.reloading import damaged
from real.compress import Damage
from real.compress.quantize import denoisers
from real.experiments.bias_training import with_trained_biases
from real.images.digits import digits


def test_training_changes_biases_alone_and_lowers_the_loss(digits_checkpoint):
    network = damaged(digits_checkpoint, Damage("int8"))
    for _, module in denoisers(network):
        module.conv_out.bias.data += 0.5
    before = {n: t.clone() for n, t in network.modules["unet"].state_dict().items()}
    times = digits_checkpoint.schedule.grid(4)
    x_t, t = torch.zeros(4, 1, 8, 8), torch.full((4,), 500)

    def off():
        with torch.no_grad():
            return (network.predict(x_t, t) - digits_checkpoint.predict(x_t, t)).abs().mean()

    worst = off()
    trained = with_trained_biases(
        network, ConditionedImages(digits("calibration")), times, evaluations=3 * 32 * 25, seed=0
    )
    after = trained.modules["unet"].state_dict()
    assert all(n.endswith("bias") != torch.equal(t, before[n]) for n, t in after.items())
    assert off() < 0.9 * worst
    assert trained.fingerprint != network.fingerprint
    assert not any(p.requires_grad for p in trained.modules["unet"].parameters())
